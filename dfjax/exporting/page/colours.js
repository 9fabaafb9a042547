// Turns the planes of decoded frames into RGB as FFmpeg does, so that a detector sees the same values.

// Weights of a matrix of colours, times 65536: red of V, blue of U, green of U and of V.
const MATRICES = {
  bt709: [117489, 138438, 13975, 34925],
  bt601: [104597, 132201, 25675, 53279],
};
const PLANAR = { I420: [2, 2], I422: [2, 1], I444: [1, 1], NV12: [2, 2] };

const BT709 = 1; // matrix_coefficients of H.264

// Returns the picture of a VideoFrame, and closes it. `matrix` is that of the track, null if unknown.
async function frameToPicture(frame, { turns, matrix }) {
  const planar = PLANAR[frame.format];
  const picture = planar ? await convertPlanes(frame, planar, matrix) : drawFrame(frame);
  frame.close();
  return turnPicture(picture, turns);
}

async function convertPlanes(frame, [across, down], matrix) {
  const { width, height } = frame.visibleRect, space = frame.colorSpace;
  const bytes = new Uint8Array(frame.allocationSize()), layout = await frame.copyTo(bytes);
  const pairs = frame.format === "NV12";
  const [luma, first, second] = layout;
  const blue = first, red = pairs ? { ...first, offset: first.offset + 1 } : second;
  const step = pairs ? 2 : 1;
  const hd = matrix === null ? space.matrix === "bt709" : matrix === BT709;
  const convert = makeConversion(hd, space.fullRange, across === 2 && height % 2 === 0);
  const picture = makePicture(width, height);
  for (let y = 0; y < height; y++) {
    const top = luma.offset + luma.stride * y, row = Math.floor(y / down);
    const blueRow = blue.offset + blue.stride * row, redRow = red.offset + red.stride * row;
    for (let x = 0; x < width; x++) {
      const column = step * Math.floor(x / across);
      const place = 3 * (width * y + x);
      convert(bytes[top + x], bytes[blueRow + column], bytes[redRow + column], picture.data, place);
    }
  }
  return picture;
}

// Returns a function that writes the colour of one pixel, in the integers of FFmpeg (libswscale). Its
// fast path, for subsampled colours, multiplies 16-bit numbers and drops the lower half of the products.
function makeConversion(hd, fullRange, fast) {
  let [redV, blueU, greenU, greenV] = MATRICES[hd ? "bt709" : "bt601"];
  const gain = fullRange ? 65536 : (65536 * 255) / 219, black = fullRange ? 0 : 16;
  if (fullRange) [redV, blueU, greenU, greenV] = [redV, blueU, greenU, greenV].map((w) => (w * 224) / 255);
  const [light, vr, ub, ug, vg] = [gain, redV, blueU, -greenU, -greenV].map((w) => Math.round(w / 8));
  if (fast) {
    return (y, u, v, data, place) => {
      const base = (8 * (y - black) * light) >> 16, blue = 8 * (u - 128), red = 8 * (v - 128);
      data[place] = base + ((red * vr) >> 16);
      data[place + 1] = base + ((blue * ug) >> 16) + ((red * vg) >> 16);
      data[place + 2] = base + ((blue * ub) >> 16);
    };
  }
  const half = 2 ** 12, scale = 2 ** -13; // to the nearest whole number, halves up
  return (y, u, v, data, place) => {
    const base = (y - black) * light + half, blue = u - 128, red = v - 128;
    data[place] = Math.floor((base + red * vr) * scale);
    data[place + 1] = Math.floor((base + blue * ug + red * vg) * scale);
    data[place + 2] = Math.floor((base + blue * ub) * scale);
  };
}

// Returns the picture of anything that can be drawn, in the browser's own conversion.
function drawFrame(source) {
  const width = source.displayWidth || source.width, height = source.displayHeight || source.height;
  const canvas = new OffscreenCanvas(width, height);
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.drawImage(source, 0, 0, width, height);
  return dropAlpha(context.getImageData(0, 0, width, height));
}

function dropAlpha({ width, height, data }) {
  const picture = makePicture(width, height);
  for (let i = 0, k = 0; i < data.length; i += 4, k += 3) {
    picture.data[k] = data[i];
    picture.data[k + 1] = data[i + 1];
    picture.data[k + 2] = data[i + 2];
  }
  return picture;
}

// Returns a picture turned clockwise by quarters.
function turnPicture(picture, turns) {
  if (!turns) return picture;
  const { width, height, data } = picture, odd = turns % 2 === 1;
  const result = makePicture(odd ? height : width, odd ? width : height);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const column = [x, height - 1 - y, width - 1 - x, y][turns];
      const row = [y, x, height - 1 - y, width - 1 - x][turns];
      const from = 3 * (width * y + x), to = 3 * (result.width * row + column);
      for (let c = 0; c < 3; c++) result.data[to + c] = data[from + c];
    }
  }
  return result;
}
