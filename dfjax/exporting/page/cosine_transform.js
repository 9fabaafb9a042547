// The integer cosine transform of libjpeg (`islow`: Loeffler, Ligtenberg and Moschytz, 1989).

const BITS = 13; // of the fraction of constants
const PASS = 2; // further bits that are kept between the two passes
const C = {};
for (const [name, value] of Object.entries({
  a: 0.298631336, b: 0.390180644, c: 0.541196100, d: 0.765366865, e: 0.899976223, f: 1.175875602,
  g: 1.501321110, h: 1.847759065, i: 1.961570560, j: 2.053119869, k: 2.562915447, l: 3.072711026,
})) C[name] = Math.floor(value * (1 << BITS) + 0.5);

const shiftDown = (x, bits) => (x + (1 << (bits - 1))) >> bits;

// Replaces 64 values by their transform, which is scaled by 8.
function transformForward(block) {
  for (let row = 0; row < 64; row += 8) forwardLine(block, row, 1, true);
  for (let column = 0; column < 8; column++) forwardLine(block, column, 8, false);
}

function forwardLine(block, start, step, first) {
  const at = (k) => start + step * k, v = (k) => block[at(k)];
  const s0 = v(0) + v(7), s1 = v(1) + v(6), s2 = v(2) + v(5), s3 = v(3) + v(4);
  const d0 = v(0) - v(7), d1 = v(1) - v(6), d2 = v(2) - v(5), d3 = v(3) - v(4);
  const down = first ? BITS - PASS : BITS + PASS;
  const even = s0 + s3, odd = s1 + s2, even2 = s0 - s3, odd2 = s1 - s2;
  block[at(0)] = first ? (even + odd) << PASS : shiftDown(even + odd, PASS);
  block[at(4)] = first ? (even - odd) << PASS : shiftDown(even - odd, PASS);
  const turned = (odd2 + even2) * C.c;
  block[at(2)] = shiftDown(turned + even2 * C.d, down);
  block[at(6)] = shiftDown(turned - odd2 * C.h, down);
  const z5 = (d3 + d1 + d2 + d0) * C.f;
  const z1 = -(d3 + d0) * C.e, z2 = -(d2 + d1) * C.k;
  const z3 = -(d3 + d1) * C.i + z5, z4 = -(d2 + d0) * C.b + z5;
  block[at(7)] = shiftDown(d3 * C.a + z1 + z3, down);
  block[at(5)] = shiftDown(d2 * C.j + z2 + z4, down);
  block[at(3)] = shiftDown(d1 * C.l + z2 + z3, down);
  block[at(1)] = shiftDown(d0 * C.g + z1 + z4, down);
}

// Replaces a transform of 64 values by the values.
function transformBack(block) {
  for (let column = 0; column < 8; column++) backLine(block, column, 8, BITS - PASS);
  for (let row = 0; row < 64; row += 8) backLine(block, row, 1, BITS + PASS + 3);
}

function backLine(block, start, step, down) {
  const at = (k) => start + step * k, v = (k) => block[at(k)];
  const turned = (v(2) + v(6)) * C.c;
  const t2 = turned - v(6) * C.h, t3 = turned + v(2) * C.d;
  const t0 = (v(0) + v(4)) << BITS, t1 = (v(0) - v(4)) << BITS;
  const e0 = t0 + t3, e3 = t0 - t3, e1 = t1 + t2, e2 = t1 - t2;
  const o0 = v(7), o1 = v(5), o2 = v(3), o3 = v(1);
  const z5 = (o0 + o2 + o1 + o3) * C.f;
  const z1 = -(o0 + o3) * C.e, z2 = -(o1 + o2) * C.k;
  const z3 = -(o0 + o2) * C.i + z5, z4 = -(o1 + o3) * C.b + z5;
  const p0 = o0 * C.a + z1 + z3, p1 = o1 * C.j + z2 + z4;
  const p2 = o2 * C.l + z2 + z3, p3 = o3 * C.g + z1 + z4;
  const pairs = [[e0, p3], [e1, p2], [e2, p1], [e3, p0]];
  pairs.forEach(([even, odd], k) => {
    block[at(k)] = shiftDown(even + odd, down);
    block[at(7 - k)] = shiftDown(even - odd, down);
  });
}
