// The choice of frames: which are searched for faces, and which make the clips that are scored.
// `numbers` are frame numbers in ascending order; padding of a short clip is -1.

const PADDING = -1;

// Returns the frames to search, all spread evenly or every few (`every`).
function chooseSearched(frameCount, { frames, every }) {
  if (every) return Array.from({ length: Math.ceil(frameCount / every) }, (_, i) => i * every);
  const count = Math.min(frames, frameCount);
  return spreadEvenly(0, frameCount - 1, count).map(roundEven);
}

// Returns the frame numbers of each clip, chosen as in evaluation.
function chooseClips(numbers, sampling, { clips, most_clips: most }) {
  let offsets = spreadOffsets(numbers, sampling, clips);
  if (!clips && most > 0 && most < offsets.length) offsets = spreadOffsets(numbers, sampling, most);
  return offsets.map((offset) => padClip(chooseFrames(numbers, sampling, offset), sampling));
}

// Returns the sampling of one video; clips of a duration get their number of source frames.
function samplingOf(sampling, rate) {
  if (!sampling.seconds) return sampling;
  if (!rate) throw new InputError("its frame rate is unknown, and clips have a duration in seconds");
  return { ...sampling, span: Math.max(1, roundEven(sampling.seconds * rate)) };
}

function spreadOffsets(numbers, sampling, clips) {
  if (sampling.kind === "even") {
    const possible = Math.max(1, Math.floor(numbers.length / sampling.frames));
    const count = clips ? Math.min(clips, possible) : possible;
    return Array.from({ length: count }, (_, i) => (i + 0.5) / count);
  }
  const possible = findStarts(numbers, sampling).length;
  const covered = sampling.span || sampling.stride * sampling.frames;
  const length = numbers[numbers.length - 1] - numbers[0] + 1;
  const count = Math.min(clips || Math.ceil(length / covered), possible);
  if (count === 1) return [0.5];
  return spreadEvenly(0, possible - 1, count).map((place) => (roundEven(place) + 0.5) / possible);
}

function findStarts(numbers, sampling) {
  const last = numbers[numbers.length - 1];
  if (sampling.seconds) {
    const starts = numbers.filter((number) => number <= last - sampling.span);
    return starts.length ? starts : numbers.slice(0, 1);
  }
  const known = new Set(numbers);
  const found = numbers.map((start) => strideFrames(start, sampling).filter((n) => known.has(n)).length);
  const best = found.reduce((a, b) => Math.max(a, b));
  return numbers.filter((_, i) => found[i] === best);
}

function strideFrames(start, { frames, stride }) {
  return Array.from({ length: frames }, (_, i) => start + i * stride);
}

function chooseFrames(numbers, sampling, offset) {
  const n = numbers.length, t = sampling.frames;
  if (sampling.kind === "even") {
    if (n <= t) return numbers;
    return Array.from({ length: t }, (_, i) => numbers[Math.floor((i + offset) * (n / t))]);
  }
  const starts = findStarts(numbers, sampling), first = starts[Math.floor(offset * starts.length)];
  if (sampling.seconds) {
    const last = Math.min(first + sampling.span, numbers[n - 1]);
    return nearest(numbers, spreadEvenly(first, last, t));
  }
  const known = new Set(numbers);
  return strideFrames(first, sampling).filter((number) => known.has(number));
}

function nearest(numbers, wanted) {
  const last = numbers.length - 1;
  return unique(wanted.map((value) => {
    const place = Math.min(Math.max(searchSorted(numbers, value), 1), Math.max(1, last));
    const before = place - 1, after = Math.min(place, last);
    return value - numbers[before] <= numbers[after] - value ? numbers[before] : numbers[after];
  }));
}

function padClip(frames, sampling) {
  const clip = Array(sampling.frames).fill(PADDING);
  const first = sampling.pad === "centre" ? Math.floor((clip.length - frames.length) / 2) : 0;
  frames.forEach((number, i) => { clip[first + i] = number; });
  return clip;
}

// Returns those of the frames that are used, with a few on either side of each.
function keepNear(numbers, used, reach) {
  const kept = new Set();
  for (const number of used) {
    const place = searchSorted(numbers, number);
    for (let i = place - reach; i <= place + reach; i++) {
      kept.add(numbers[Math.min(Math.max(i, 0), numbers.length - 1)]);
    }
  }
  return unique(kept);
}
