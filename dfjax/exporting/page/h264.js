// Reads which matrix of colours an H.264 track names. Browsers guess one where it names none; FFmpeg
// then takes that of BT.601.

const UNSPECIFIED = 2; // matrix_coefficients of H.264, table E-5
const WITH_CHROMA = [100, 110, 122, 244, 44, 83, 86, 118, 128, 138, 139, 134, 135]; // profiles

// Returns the matrix_coefficients in the description (avcC) of a track.
function readMatrix(description) {
  if (!(description[5] & 31)) return UNSPECIFIED;
  const size = 256 * description[6] + description[7];
  const bits = readBits(dropEscapes(description.subarray(9, 8 + size)));
  skipSequence(bits);
  if (!bits.take(1)) return UNSPECIFIED;
  if (bits.take(1) && bits.take(8) === 255) bits.take(32);
  if (bits.take(1)) bits.take(1);
  if (!bits.take(1)) return UNSPECIFIED;
  bits.take(4);
  if (!bits.take(1)) return UNSPECIFIED;
  bits.take(16);
  return bits.take(8);
}

// Reads a sequence parameter set up to its flag of video usability information.
function skipSequence(bits) {
  const profile = bits.take(24) >>> 16, repeat = (count, read) => { while (count-- > 0) read(); };
  bits.golomb();
  if (WITH_CHROMA.includes(profile)) {
    const chroma = bits.golomb();
    if (chroma === 3) bits.take(1);
    bits.golomb();
    bits.golomb();
    bits.take(1);
    if (bits.take(1)) {
      for (let i = 0; i < (chroma === 3 ? 12 : 8); i++) if (bits.take(1)) skipList(bits, i < 6 ? 16 : 64);
    }
  }
  bits.golomb();
  const order = bits.golomb();
  if (order === 0) bits.golomb();
  if (order === 1) {
    bits.take(1);
    repeat(2, bits.golomb);
    repeat(bits.golomb(), bits.golomb);
  }
  bits.golomb();
  bits.take(1);
  repeat(2, bits.golomb);
  if (!bits.take(1)) bits.take(1);
  bits.take(1);
  if (bits.take(1)) repeat(4, bits.golomb);
}

function skipList(bits, count) {
  for (let i = 0, last = 8, next = 8; i < count; i++) {
    if (next) {
      const code = bits.golomb();
      next = (last + (code % 2 ? (code + 1) / 2 : -code / 2) + 256) % 256;
    }
    last = next || last;
  }
}

// Returns bytes without those that only separate them from start codes.
function dropEscapes(bytes) {
  return bytes.filter((byte, i) => !(byte === 3 && i > 1 && !bytes[i - 1] && !bytes[i - 2]));
}

// Returns { take(count), golomb() }, which read bits and exponential Golomb codes; beyond the end
// there are zeros.
function readBits(bytes) {
  let place = 0;
  const take = (count) => {
    let value = 0;
    for (; count > 0; count--, place++) value = 2 * value + (((bytes[place >> 3] || 0) >> (7 - (place & 7))) & 1);
    return value;
  };
  const golomb = () => {
    let zeros = 0;
    while (zeros < 32 && !take(1)) zeros += 1;
    return 2 ** zeros - 1 + take(zeros);
  };
  return { take, golomb };
}
