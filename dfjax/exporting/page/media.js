// Opens the files that are scored. An open file has `frameCount`, `rate` (frames per second, 0 if
// unknown), `note`, and `visit(numbers, see)`, which calls `see(picture, place)` for each frame.

const MOST_PIXELS = 64 * 1024 * 1024; // of a frame
const WAITING = 8; // samples that a decoder may hold

class InputError extends Error {}

async function openFile(file) {
  if (!file.size) throw new InputError("empty file (0 bytes)");
  const image = await openImage(file);
  if (image) return image;
  const video = await readMp4(file);
  if (video && (await canDecode(video))) return openSamples(file, video);
  return openElement(file);
}

// Returns an image as a file of one frame, or null for other files.
async function openImage(file) {
  const head = new Uint8Array(await file.slice(0, 16).arrayBuffer());
  const kind = imageKind(head);
  if (!kind) return null;
  if (await isAnimation(file, kind)) {
    throw new InputError("is an animation; save it as a video (MP4) to score it");
  }
  let bitmap;
  try {
    const plain = { colorSpaceConversion: "none", premultiplyAlpha: "none" };
    bitmap = await createImageBitmap(new Blob([file], { type: kind }), plain);
  } catch {
    throw new InputError("not an image, or damaged");
  }
  checkSize(bitmap.width, bitmap.height);
  const picture = drawFrame(bitmap);
  bitmap.close();
  return { frameCount: 1, rate: 1, note: "", visit: async (_, see) => see(picture, 0) };
}

function imageKind(head) {
  const text = String.fromCharCode(...head);
  if (text.startsWith("\xff\xd8\xff")) return "image/jpeg";
  if (text.startsWith("\x89PNG\r\n")) return "image/png";
  if (text.startsWith("GIF8")) return "image/gif";
  if (text.startsWith("BM")) return "image/bmp";
  if (text.startsWith("RIFF") && text.slice(8, 12) === "WEBP") return "image/webp";
  return /^....ftyp(avif|avis)/s.test(text) ? "image/avif" : "";
}

async function isAnimation(file, kind) {
  if (!["image/gif", "image/webp", "image/avif"].includes(kind)) return false;
  if (typeof ImageDecoder === "undefined") {
    if (kind === "image/gif") throw new InputError("this browser does not say if a GIF is an animation; save it as PNG");
    return false;
  }
  try {
    const decoder = new ImageDecoder({ data: await file.arrayBuffer(), type: kind });
    await decoder.tracks.ready;
    const count = decoder.tracks.selectedTrack.frameCount;
    decoder.close();
    return count > 1;
  } catch {
    throw new InputError("not an image, or damaged");
  }
}

function checkSize(width, height) {
  if (width * height <= MOST_PIXELS) return;
  throw new InputError(`${width}x${height} is more than the ${MOST_PIXELS} pixels allowed`);
}

async function canDecode({ codec, description }) {
  if (typeof VideoDecoder === "undefined") return false;
  try {
    return (await VideoDecoder.isConfigSupported({ codec, description })).supported;
  } catch {
    return false;
  }
}

// Returns a video whose samples are decoded one by one, so that frames have exact numbers.
function openSamples(file, video) {
  const shown = video.samples.filter((sample) => !sample.hidden);
  shown.sort((a, b) => a.shown - b.shown).forEach((sample, number) => { sample.number = number; });
  const visit = (numbers, see) => decodeFrames(file, video, numbers, see);
  return { frameCount: shown.length, rate: video.rate, note: "", visit };
}

// Returns the ranges of samples to decode, each from a key frame on, that have the wanted frames.
function findRanges(samples, numbers) {
  const wanted = new Set(numbers), ranges = [];
  let key = 0, before = 0;
  samples.forEach((sample, place) => {
    if (sample.key) [before, key] = [key, place];
    if (sample.hidden || !wanted.has(sample.number)) return;
    const start = sample.shown < samples[key].shown ? before : key, last = ranges[ranges.length - 1];
    if (last && start <= last[1] + 1) last[1] = place;
    else ranges.push([start, place]);
  });
  return ranges;
}

// Calls `see` for each wanted frame. Browsers may take a decoder away from a slow page, or lose it;
// another one then goes on with the frames that are left, as long as each gives some.
async function decodeFrames(file, video, numbers, see) {
  const left = new Map(numbers.map((number, place) => [number, place]));
  while (left.size) {
    const before = left.size, failure = await decodeOnce(file, video, left, see);
    if (left.size && left.size === before) {
      throw new InputError(`damaged: ${failure || `${left.size} of its frames cannot be decoded`}`);
    }
  }
}

// Returns the data of a sample. The first one of a video from x264 has a message with the version of
// x264, without which FFmpeg decodes the profile High 4:4:4 of old versions wrongly (core < 151). A
// decoder that begins at a later key frame is given it there.
async function readSample(file, { samples, lengthBytes }, place, begins) {
  const read = ({ offset, size }) => file.slice(offset, offset + size).arrayBuffer();
  const data = await read(samples[place]);
  if (!begins || !place || !lengthBytes) return data;
  return new Blob([...readMessages(await read(samples[0]), lengthBytes), data]).arrayBuffer();
}

// Takes the frames out of `left` that a decoder gives, and returns why it has failed, or "".
async function decodeOnce(file, video, left, see) {
  const { samples, codec, description } = video;
  const ready = [];
  let failure = "", wake = () => {};
  const decoder = new VideoDecoder({
    output: (frame) => { ready.push(frame); wake(); },
    error: (error) => { failure = error.message.replace(/\.$/, ""); wake(); },
  });
  decoder.ondequeue = () => wake();
  const drain = async () => {
    while (ready.length) {
      const frame = ready.shift(), number = frame.timestamp, place = left.get(number);
      if (place === undefined) { frame.close(); continue; }
      checkSize(frame.codedWidth, frame.codedHeight);
      await see(await frameToPicture(frame, video), place);
      left.delete(number);
    }
  };
  const feed = async (place, begins) => {
    const sample = samples[place], data = await readSample(file, video, place, begins);
    if (failure) return;
    const timestamp = sample.hidden ? -1 - place : sample.number;
    decoder.decode(new EncodedVideoChunk({ type: sample.key ? "key" : "delta", timestamp, data }));
    while (decoder.decodeQueueSize > WAITING && !failure && !ready.length) {
      await new Promise((resolve) => { wake = resolve; });
    }
    await drain();
  };
  try {
    decoder.configure({ codec, description });
    for (const [start, end] of findRanges(samples, [...left.keys()])) {
      for (let place = start; place <= end && !failure; place++) await feed(place, place === start);
      if (!failure) await decoder.flush().catch((error) => { failure = failure || error.message; });
      await drain();
    }
  } finally {
    ready.forEach((frame) => frame.close());
    if (decoder.state !== "closed") decoder.close();
  }
  return failure;
}
