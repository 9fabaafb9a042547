// What JPEG compression does to a crop, computed in whole numbers as libjpeg does by default: colours
// at half the resolution, an integer cosine transform, rounding by the tables of a quality, and back.
// The crops that a detector was trained on were stored as JPEG, so that it must see its traces here too.

const LUMA_TABLE = [
  16, 11, 10, 16, 24, 40, 51, 61, 12, 12, 14, 19, 26, 58, 60, 55, 14, 13, 16, 24, 40, 57, 69, 56,
  14, 17, 22, 29, 51, 87, 80, 62, 18, 22, 37, 56, 68, 109, 103, 77, 24, 35, 55, 64, 81, 104, 113, 92,
  49, 64, 78, 87, 103, 121, 120, 101, 72, 92, 95, 98, 112, 100, 103, 99,
];
const CHROMA_TABLE = [
  17, 18, 24, 47, 99, 99, 99, 99, 18, 21, 26, 66, 99, 99, 99, 99, 24, 26, 56, 99, 99, 99, 99, 99,
  47, 66, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99,
  99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99,
];
const fixed16 = (x) => Math.floor(x * 65536 + 0.5);

// Returns the picture as it is after compression with a quality of 1 to 100.
function compressAsJpeg(picture, quality) {
  const { width, height } = picture;
  const [luma, blue, red] = splitColours(picture);
  const halfWidth = Math.ceil(width / 2), halfHeight = Math.ceil(height / 2);
  roundBlocks(luma, scaleTable(LUMA_TABLE, quality));
  const full = [blue, red].map((plane) => {
    const half = halve(plane, halfWidth, halfHeight);
    roundBlocks(half, scaleTable(CHROMA_TABLE, quality));
    return double(half, halfWidth, halfHeight, width, height);
  });
  return joinColours(luma, full[0], full[1], width, height);
}

function scaleTable(table, quality) {
  const scale = quality < 50 ? Math.floor(5000 / quality) : 200 - 2 * quality;
  return table.map((value) => Math.min(Math.max(Math.floor((value * scale + 50) / 100), 1), 255));
}

// Returns brightness and two colour differences, { width, height, data }, whose sides are multiples
// of 16; beyond the picture its last column and row are repeated.
function splitColours(picture) {
  const width = Math.ceil(picture.width / 16) * 16, height = Math.ceil(picture.height / 16) * 16;
  const planes = [0, 1, 2].map(() => ({ width, height, data: new Int32Array(width * height) }));
  const weights = [
    [fixed16(0.299), fixed16(0.587), fixed16(0.114), 32768],
    [-fixed16(0.168735892), -fixed16(0.331264108), fixed16(0.5), (128 << 16) + 32767],
    [fixed16(0.5), -fixed16(0.418687589), -fixed16(0.081312411), (128 << 16) + 32767],
  ];
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const row = Math.min(y, picture.height - 1), column = Math.min(x, picture.width - 1);
      const place = 3 * (picture.width * row + column);
      const [r, g, b] = [picture.data[place], picture.data[place + 1], picture.data[place + 2]];
      weights.forEach(([wr, wg, wb, rest], k) => {
        planes[k].data[width * y + x] = (wr * r + wg * g + wb * b + rest) >> 16;
      });
    }
  }
  return planes;
}

// Returns a plane of half the size; rounding alternates from column to column.
function halve(plane, usedWidth, usedHeight) {
  const width = Math.ceil(usedWidth / 8) * 8, height = Math.ceil(usedHeight / 8) * 8;
  const data = new Int32Array(width * height), from = plane.data, step = plane.width;
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const top = step * 2 * Math.min(y, usedHeight - 1) + 2 * x, bottom = top + step;
      const sum = from[top] + from[top + 1] + from[bottom] + from[bottom + 1];
      data[width * y + x] = (sum + 1 + (x & 1)) >> 2;
    }
  }
  return { width, height, data };
}

// Returns the plane of a colour at full size, interpolated between the nearest two in each direction.
function double(plane, usedWidth, usedHeight, width, height) {
  const data = new Int32Array(width * height), from = plane.data;
  for (let y = 0; y < height; y++) {
    const near = y >> 1, far = Math.min(Math.max(near + (y & 1 ? 1 : -1), 0), usedHeight - 1);
    const sum = (x) => 3 * from[plane.width * near + x] + from[plane.width * far + x];
    for (let x = 0; x < width; x++) {
      const centre = x >> 1, other = Math.min(Math.max(centre + (x & 1 ? 1 : -1), 0), usedWidth - 1);
      data[width * y + x] = (3 * sum(centre) + sum(other) + (x & 1 ? 7 : 8)) >> 4;
    }
  }
  return { width, height, data };
}

function joinColours(luma, blue, red, width, height) {
  const result = makePicture(width, height);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const value = luma.data[luma.width * y + x], place = width * y + x;
      const b = blue.data[place] - 128, r = red.data[place] - 128;
      result.data[3 * place] = value + ((fixed16(1.402) * r + 32768) >> 16);
      result.data[3 * place + 1] =
        value + ((-fixed16(0.34414) * b - fixed16(0.71414) * r + 32768) >> 16);
      result.data[3 * place + 2] = value + ((fixed16(1.772) * b + 32768) >> 16);
    }
  }
  return result;
}

// Replaces every block of 8 x 8 values of a plane by what is left of it after rounding.
function roundBlocks(plane, table) {
  const block = new Int32Array(64);
  for (let top = 0; top < plane.height; top += 8) {
    for (let left = 0; left < plane.width; left += 8) {
      for (let i = 0; i < 64; i++) {
        block[i] = plane.data[plane.width * (top + (i >> 3)) + left + (i & 7)] - 128;
      }
      transformForward(block);
      for (let i = 0; i < 64; i++) {
        const step = 8 * table[i], size = Math.floor((Math.abs(block[i]) + (step >> 1)) / step);
        block[i] = (block[i] < 0 ? -size : size) * table[i];
      }
      transformBack(block);
      for (let i = 0; i < 64; i++) {
        const value = Math.min(Math.max(block[i] + 128, 0), 255);
        plane.data[plane.width * (top + (i >> 3)) + left + (i & 7)] = value;
      }
    }
  }
}
