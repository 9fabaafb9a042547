// From a file to its score: frames, faces, crops, clips, the network, the mean over clips.

const MOST_SEARCHED = 1024; // frames; of longer videos those of the clips and their neighbours
const NEIGHBOURS = 4; // frames on either side of those of clips
const SHOWN = 8; // crops that the page shows

// Returns { fakeProb, clipScores, … } of a file.
// `parts` are the sessions of the networks and the settings; `report(what, done, total)` is progress.
async function scoreFile(file, { detector, faces, settings }, report) {
  const source = await openFile(file);
  const sampling = samplingOf(settings.sampling, source.rate);
  const numbers = chooseSearched(source.frameCount, settings.cutting);
  const clips = chooseClips(numbers, sampling, settings);
  const used = unique(clips.flat().filter((number) => number !== PADDING));
  const path = await findPath(source, numbers, used, { faces, settings }, report);
  const crops = await cutCrops(source, used, path, settings.cutting, report);
  const clipScores = [];
  for (const clip of clips) {
    report("Scoring clips", clipScores.length, clips.length);
    clipScores.push(await scoreClip(detector, clip, crops, settings.cutting.size));
  }
  const fakeProb = mean(clipScores);
  if (!Number.isFinite(fakeProb)) throw new InputError("the detector gives no finite score");
  const shown = unique(spreadEvenly(0, used.length - 1, SHOWN).map(roundEven));
  return {
    fakeProb,
    clipScores,
    clipRanges: clips.map((clip) => clip.filter((n) => n !== PADDING)).map((c) => [c[0], c[c.length - 1]]),
    framesUsed: used.length,
    facesMissed: path.missed,
    faceShare: path.missed === null ? null : 1 - path.missed / used.length,
    note: source.note,
    pictures: shown.map((place) => ({ number: used[place], picture: crops.get(used[place]) })),
  };
}

// Returns the box of the face in each used frame, and in how many of them none was found.
async function findPath(source, numbers, used, { faces, settings }, report) {
  if (settings.cutting.detector === "none") return { boxes: null, margin: 1, missed: null };
  const searched = numbers.length > MOST_SEARCHED ? keepNear(numbers, used, NEIGHBOURS) : numbers;
  const detections = [];
  let size = null;
  await source.visit(searched, async (frame, place) => {
    report("Finding faces", place, searched.length);
    size = frame;
    detections[place] = await findFaces(faces, frame);
  });
  const face = followFace(detections, size.width, size.height);
  const places = used.map((number) => searchSorted(searched, number));
  const missed = face ? places.filter((place) => !face.found[place]).length : used.length;
  checkFaces(missed, used.length, source.frameCount, settings.min_face_share);
  const boxes = new Map(used.map((number, i) => [number, face.boxes[places[i]]]));
  return { boxes, margin: settings.cutting.margin, missed };
}

function checkFaces(missed, used, frameCount, least) {
  if (missed === used) {
    const where = frameCount > 1 ? "any frame" : "its one frame";
    throw new InputError(`no usable face: no face found in ${where}`);
  }
  if (1 - missed / used >= least) return;
  throw new InputError(`no usable face: a face was found in ${used - missed} of ${used} frames, ` +
    `which is less than the share ${least} (min_face_share)`);
}

// Returns the crop of each used frame as the training data were stored.
async function cutCrops(source, used, path, cutting, report) {
  const crops = new Map();
  await source.visit(used, async (frame, place) => {
    report("Cutting faces", place, used.length);
    const box = path.boxes ? path.boxes.get(used[place]) : centreSquare(frame);
    const crop = cutSquare(frame, box, cutting.size, path.margin);
    crops.set(used[place], compressAsJpeg(crop, cutting.jpeg_quality));
  });
  return crops;
}

async function scoreClip(detector, clip, crops, size) {
  const pixels = new Uint8Array(clip.length * size * size * 3), mask = new Uint8Array(clip.length);
  clip.forEach((number, i) => {
    if (number === PADDING) return;
    mask[i] = 1;
    pixels.set(crops.get(number).data, i * size * size * 3);
  });
  const output = await detector.run({
    clip: new ort.Tensor("uint8", pixels, [1, clip.length, size, size, 3]),
    mask: new ort.Tensor("bool", mask, [1, clip.length]),
  });
  return output.fake_prob.data[0];
}
