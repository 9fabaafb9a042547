// YuNet (Wu et al., 2023): finds faces by a small network, run as OpenCV runs it.

const LONGEST_SIDE = 640; // pixels of the frames that are searched
const LEAST_SCORE = 0.6;
const MOST_OVERLAP = 0.3; // of two faces
const STRIDES = [8, 16, 32];

// Returns the boxes of the faces of a frame, the surest first.
async function findFaces(session, frame) {
  const scale = Math.min(1, LONGEST_SIDE / Math.max(frame.width, frame.height));
  const width = Math.max(1, Math.floor(frame.width * scale));
  const height = Math.max(1, Math.floor(frame.height * scale));
  const small = scale === 1 ? frame : shrinkByArea(frame, width, height);
  const input = toNetwork(small);
  const output = await session.run({ input });
  const faces = readFaces(output, input.dims[3]);
  Object.values(output).forEach((tensor) => tensor.dispose());
  const ratio = Math.fround(scale);
  return dropOverlaps(faces).map(({ box: [x, y, w, h] }) =>
    [x, y, x + w, y + h].map((value) => Math.fround(value / ratio)));
}

// Returns blue, green and red planes whose sides are multiples of 32, with black at the end.
function toNetwork({ width, height, data }) {
  const wide = Math.ceil(width / 32) * 32, high = Math.ceil(height / 32) * 32;
  const values = new Float32Array(3 * wide * high);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const from = 3 * (width * y + x), to = wide * y + x;
      for (let c = 0; c < 3; c++) values[wide * high * (2 - c) + to] = data[from + c];
    }
  }
  return new ort.Tensor("float32", values, [1, 3, high, wide]);
}

function readFaces(output, wide) {
  const faces = [], clamp = (value) => Math.min(Math.max(value, 0), 1);
  for (const stride of STRIDES) {
    const [cls, obj, box] = ["cls", "obj", "bbox"].map((name) => output[`${name}_${stride}`].data);
    const columns = wide / stride;
    for (let i = 0; i < cls.length; i++) {
      const score = Math.sqrt(clamp(cls[i]) * clamp(obj[i]));
      if (score < LEAST_SCORE) continue;
      const column = i % columns, row = Math.floor(i / columns);
      const w = Math.exp(box[4 * i + 2]) * stride, h = Math.exp(box[4 * i + 3]) * stride;
      const x = (column + box[4 * i]) * stride - w / 2, y = (row + box[4 * i + 1]) * stride - h / 2;
      faces.push({ score, box: [x, y, w, h] });
    }
  }
  return faces.sort((a, b) => b.score - a.score);
}

function dropOverlaps(faces) {
  const kept = [];
  for (const face of faces) {
    if (kept.every((other) => overlap(face.box, other.box) <= MOST_OVERLAP)) kept.push(face);
  }
  return kept;
}

// Returns the common area of two boxes relative to that of both, in whole pixels.
function overlap(a, b) {
  const [ax, ay, aw, ah] = a.map(Math.trunc), [bx, by, bw, bh] = b.map(Math.trunc);
  const width = Math.min(ax + aw, bx + bw) - Math.max(ax, bx);
  const height = Math.min(ay + ah, by + bh) - Math.max(ay, by);
  const common = Math.max(width, 0) * Math.max(height, 0), all = aw * ah + bw * bh - common;
  return all > 0 ? common / all : 0;
}
