// Reads which samples an MP4 or MOV file has: where they are, when they are shown, how to decode them.

const MOST_HEADER = 2 ** 28; // bytes

// Returns { codec, description, samples, turns, rate } of the first video track, or null for a file
// that is no MP4 with an index. A sample is { offset, size, shown, key }, in the order of decoding.
async function readMp4(file) {
  const movie = await findMovie(file);
  if (!movie) return null;
  for (const track of boxesIn(movie, "trak")) {
    const media = boxIn(track, "mdia"), handler = media && boxIn(media, "hdlr");
    if (!handler || textAt(handler, 8) !== "vide") continue;
    const table = pathIn(media, "minf", "stbl");
    const format = table && readFormat(boxIn(table, "stsd"));
    const samples = format && readSamples(table, file.size);
    if (!samples || !samples.length) return null;
    dropHidden(samples, track);
    return { ...format, samples, turns: readTurns(boxIn(track, "tkhd")), rate: rateOf(samples, media) };
  }
  return null;
}

// Returns the box that has the index, wherever it is in the file.
async function findMovie(file) {
  for (let place = 0; place + 8 <= file.size;) {
    const head = new DataView(await file.slice(place, place + 16).arrayBuffer());
    const kind = textAt(head, 4);
    if (place === 0 && !["ftyp", "moov", "mdat", "wide", "free", "skip"].includes(kind)) return null;
    let size = head.getUint32(0), start = 8;
    if (size === 1 && head.byteLength === 16) [size, start] = [Number(head.getBigUint64(8)), 16];
    if (size === 0) size = file.size - place;
    if (size < start) return null;
    if (kind === "moov") {
      if (size > MOST_HEADER) throw new InputError("its index is too large");
      return new DataView(await file.slice(place + start, place + size).arrayBuffer());
    }
    place += size;
  }
  return null;
}

function textAt(view, place) {
  if (place + 4 > view.byteLength) return "";
  return String.fromCharCode(...[0, 1, 2, 3].map((i) => view.getUint8(place + i)));
}

// Returns the contents of the boxes of a kind, from `start` on.
function boxesIn(view, kind, start = 0) {
  const found = [];
  for (let place = start; place + 8 <= view.byteLength;) {
    const size = view.getUint32(place);
    if (size < 8 || place + size > view.byteLength) break;
    if (textAt(view, place + 4) === kind) {
      found.push(new DataView(view.buffer, view.byteOffset + place + 8, size - 8));
    }
    place += size;
  }
  return found;
}

function boxIn(view, kind, start = 0) {
  return boxesIn(view, kind, start)[0];
}

function pathIn(view, ...kinds) {
  return kinds.reduce((inner, kind) => inner && boxIn(inner, kind), view);
}

// Returns the name of the codec for the browser, and what its decoder needs to begin.
function readFormat(description) {
  const kind = description && description.byteLength > 94 ? textAt(description, 12) : "";
  const entry = description && new DataView(description.buffer, description.byteOffset + 8);
  const inner = kind && new DataView(entry.buffer, entry.byteOffset, description.getUint32(8));
  const boxes = { avc1: "avcC", avc3: "avcC", hvc1: "hvcC", hev1: "hvcC", vp09: "vpcC", av01: "av1C" };
  const setup = boxes[kind] && boxIn(inner, boxes[kind], 86);
  if (!setup) return null;
  const bytes = new Uint8Array(setup.buffer.slice(setup.byteOffset, setup.byteOffset + setup.byteLength));
  const described = ["avcC", "hvcC"].includes(boxes[kind]);
  const codec = nameCodec(kind, bytes), matrix = findMatrix(inner, boxes[kind], bytes);
  const lengthBytes = boxes[kind] === "avcC" ? 1 + (bytes[4] & 3) : 0;
  return { codec, description: described ? bytes : undefined, lengthBytes, matrix };
}

// Returns the matrix of colours as a number of H.264; null if only the decoder may know it.
function findMatrix(entry, kind, bytes) {
  const colours = boxIn(entry, "colr", 86);
  const named = colours && ["nclx", "nclc"].includes(textAt(colours, 0)) ? colours.getUint16(8) : UNSPECIFIED;
  if (kind !== "avcC") return named === UNSPECIFIED ? null : named;
  const own = readMatrix(bytes);
  return own === UNSPECIFIED ? named : own;
}

// Returns the messages of an encoder (SEI, user data) in a sample of H.264, whose units have their
// length in `lengthBytes` bytes before them.
function readMessages(sample, lengthBytes) {
  const view = new DataView(sample), messages = [];
  for (let place = 0; place + lengthBytes + 2 <= sample.byteLength;) {
    let size = 0;
    for (let i = 0; i < lengthBytes; i++) size = 256 * size + view.getUint8(place + i);
    const start = place + lengthBytes, end = start + size;
    const [unit, kind] = [view.getUint8(start) & 31, view.getUint8(start + 1)];
    if (unit === 6 && kind === 5) messages.push(sample.slice(place, end));
    place = end;
  }
  return messages;
}

function nameCodec(kind, bytes) {
  const hex = (value) => value.toString(16).padStart(2, "0");
  const two = (value) => String(value).padStart(2, "0");
  if (kind.startsWith("avc")) return `avc1.${hex(bytes[1])}${hex(bytes[2])}${hex(bytes[3])}`;
  if (kind === "vp09") return `vp09.${two(bytes[4])}.${two(bytes[5])}.${two(bytes[6] >> 4)}`;
  if (kind === "av01") {
    const tier = bytes[2] & 0x80 ? "H" : "M", depth = bytes[2] & 0x40 ? "10" : "08";
    return `av01.${bytes[1] >> 5}.${two(bytes[1] & 31)}${tier}.${depth}`;
  }
  const space = ["", "A", "B", "C"][bytes[1] >> 6], tier = bytes[1] & 0x20 ? "H" : "L";
  const view = new DataView(bytes.buffer);
  let flags = 0;
  for (let bit = 0; bit < 32; bit++) flags |= ((view.getUint32(2) >>> bit) & 1) << (31 - bit);
  const limits = [...bytes.slice(6, 12)];
  while (limits.length && !limits[limits.length - 1]) limits.pop();
  const rest = limits.map((value) => `.${value.toString(16)}`).join("");
  return `hvc1.${space}${bytes[1] & 31}.${(flags >>> 0).toString(16)}.${tier}${bytes[12]}${rest}`;
}

// Returns the samples of a track; null where the tables are not complete.
function readSamples(table, fileSize) {
  const [times, sizes, chunks] = ["stts", "stsz", "stsc"].map((kind) => boxIn(table, kind));
  const short = boxIn(table, "stco"), places = short || boxIn(table, "co64");
  if (!times || !sizes || !chunks || !places) return null;
  const count = sizes.getUint32(8), same = sizes.getUint32(4);
  const durations = readRuns(times, count, false);
  const shifts = boxIn(table, "ctts") ? readRuns(boxIn(table, "ctts"), count, true) : null;
  const sync = boxIn(table, "stss"), keys = sync && new Set(readList(sync));
  const samples = [];
  let time = 0, run = 0;
  for (let chunk = 0; chunk < places.getUint32(4) && samples.length < count; chunk++) {
    while (run + 1 < chunks.getUint32(4) && chunks.getUint32(8 + 12 * (run + 1)) <= chunk + 1) run += 1;
    let offset = short ? places.getUint32(8 + 4 * chunk) : Number(places.getBigUint64(8 + 8 * chunk));
    for (let n = chunks.getUint32(12 + 12 * run); n > 0 && samples.length < count; n--) {
      const number = samples.length, size = same || sizes.getUint32(12 + 4 * number);
      if (offset + size > fileSize) throw new InputError("cut off: frames of its index are missing");
      const shown = time + (shifts ? shifts[number] || 0 : 0);
      samples.push({ offset, size, shown, key: !keys || keys.has(number + 1) });
      offset += size;
      time += durations[number] || 0;
    }
  }
  samples.duration = time;
  return samples;
}

function readRuns(box, most, signed) {
  const values = [];
  for (let i = 0; i < box.getUint32(4) && values.length < most; i++) {
    const value = signed ? box.getInt32(12 + 8 * i) : box.getUint32(12 + 8 * i);
    for (let n = box.getUint32(8 + 8 * i); n > 0 && values.length < most; n--) values.push(value);
  }
  return values;
}

function readList(box) {
  return Array.from({ length: box.getUint32(4) }, (_, i) => box.getUint32(8 + 4 * i));
}

// Marks the samples before the start of the track's edit, which players do not show.
function dropHidden(samples, track) {
  const edits = pathIn(track, "edts", "elst");
  let start = 0;
  for (let i = 0; edits && i < edits.getUint32(4); i++) {
    const long = edits.getUint8(0) === 1, place = 8 + (long ? 20 : 12) * i;
    const from = long ? Number(edits.getBigInt64(place + 8)) : edits.getInt32(place + 4);
    if (from >= 0) {
      start = from;
      break;
    }
  }
  for (const sample of samples) sample.hidden = sample.shown < start;
}

// Returns the quarter turns, clockwise, by which the pictures of a track are shown.
function readTurns(header) {
  const place = header && (header.getUint8(0) === 1 ? 52 : 40);
  if (!header || header.byteLength < place + 8) return 0;
  const a = header.getInt32(place), b = header.getInt32(place + 4);
  return (Math.round(Math.atan2(b, a) / (Math.PI / 2)) + 4) % 4;
}

function rateOf(samples, media) {
  const header = boxIn(media, "mdhd");
  const scale = header && header.getUint32(header.getUint8(0) === 1 ? 20 : 12);
  return scale && samples.duration ? (samples.length * scale) / samples.duration : 0;
}
