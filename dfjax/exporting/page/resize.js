// Resizing of pictures { width, height, data: RGB bytes } as OpenCV does it.

const CUBIC = -0.75;
const FIXED = 2048; // weights of the cubic kernel are whole multiples of 1 / FIXED

function makePicture(width, height) {
  return { width, height, data: new Uint8ClampedArray(3 * width * height) };
}

// Returns the picture averaged over the area of each new pixel, for sizes that are not larger.
function shrinkByArea(picture, width, height) {
  if (picture.width === width && picture.height === height) return picture;
  const columns = areaWeights(picture.width, width), rows = areaWeights(picture.height, height);
  const result = makePicture(width, height);
  // OpenCV rounds the mean of 2 x 2 pixels up where it is halfway, and other means to even.
  const exactlyHalf = picture.width === 2 * width && picture.height === 2 * height;
  const round = exactlyHalf ? Math.round : roundEven;
  const line = new Float64Array(3 * width), sum = new Float64Array(3 * width);
  for (let y = 0; y < height; y++) {
    sum.fill(0);
    for (let i = rows.start[y]; i < rows.start[y + 1]; i++) {
      averageLine(picture, rows.from[i], columns, line);
      const weight = rows.weight[i];
      for (let k = 0; k < sum.length; k++) sum[k] += weight * line[k];
    }
    for (let k = 0; k < sum.length; k++) result.data[3 * width * y + k] = round(sum[k]);
  }
  return result;
}

function averageLine({ data, width }, y, { start, from, weight }, line) {
  const offset = 3 * width * y;
  for (let x = 0; x + 1 < start.length; x++) {
    let red = 0, green = 0, blue = 0;
    for (let i = start[x]; i < start[x + 1]; i++) {
      const place = offset + 3 * from[i], share = weight[i];
      red += share * data[place];
      green += share * data[place + 1];
      blue += share * data[place + 2];
    }
    line[3 * x] = red;
    line[3 * x + 1] = green;
    line[3 * x + 2] = blue;
  }
}

// Returns for each new pixel the old pixels `from` that it covers, with their shares `weight`: those
// of pixel x are at `start[x]` to `start[x + 1]`.
function areaWeights(size, newSize) {
  const scale = size / newSize, start = [0], from = [], weight = [];
  for (let i = 0; i < newSize; i++) {
    const begin = i * scale, end = begin + scale, cell = Math.min(scale, size - begin);
    const last = Math.min(Math.floor(end), size - 1), first = Math.min(Math.ceil(begin), last);
    const add = (place, share) => { from.push(place); weight.push(share / cell); };
    if (first - begin > 1e-3) add(first - 1, first - begin);
    for (let place = first; place < last; place++) add(place, 1);
    if (end - last > 1e-3) add(last, Math.min(end - last, 1, cell));
    start.push(from.length);
  }
  return { start: Int32Array.from(start), from: Int32Array.from(from), weight: Float64Array.from(weight) };
}

// Returns the picture enlarged by a cubic kernel.
function enlarge(picture, width, height) {
  if (picture.width === width && picture.height === height) return picture;
  const columns = cubicWeights(picture.width, width), rows = cubicWeights(picture.height, height);
  const lines = new Float64Array(3 * width * picture.height), result = makePicture(width, height);
  for (let y = 0; y < picture.height; y++) {
    for (let x = 0; x < width; x++) {
      for (let c = 0; c < 3; c++) {
        let sum = 0;
        for (const [from, weight] of columns[x]) {
          sum += weight * picture.data[3 * (picture.width * y + from) + c];
        }
        lines[3 * (width * y + x) + c] = sum;
      }
    }
  }
  for (let y = 0; y < height; y++) {
    for (let i = 0; i < 3 * width; i++) {
      let sum = 0;
      for (const [from, weight] of rows[y]) sum += weight * lines[3 * width * from + i];
      result.data[3 * width * y + i] = roundEven(sum / (FIXED * FIXED));
    }
  }
  return result;
}

// Returns for each new pixel four old ones with whole weights, which sum to about FIXED.
function cubicWeights(size, newSize) {
  const scale = size / newSize;
  return Array.from({ length: newSize }, (_, i) => {
    const place = Math.fround((i + 0.5) * scale - 0.5), before = Math.floor(place);
    const x = place - before, y = 1 - x;
    const weights = [
      ((CUBIC * (x + 1) - 5 * CUBIC) * (x + 1) + 8 * CUBIC) * (x + 1) - 4 * CUBIC,
      ((CUBIC + 2) * x - (CUBIC + 3)) * x * x + 1,
      ((CUBIC + 2) * y - (CUBIC + 3)) * y * y + 1,
    ];
    weights.push(1 - weights[0] - weights[1] - weights[2]);
    return weights.map((weight, k) => [
      Math.min(Math.max(before - 1 + k, 0), size - 1),
      roundEven(weight * FIXED),
    ]);
  });
}
