// Rounding, interpolation and searching as NumPy does them.

// Returns the nearest whole number; a half goes to the even one.
function roundEven(x) {
  const below = Math.floor(x), part = x - below;
  if (part !== 0.5) return Math.round(x);
  return below % 2 === 0 ? below : below + 1;
}

// Returns `count` evenly spaced numbers from `first` to `last`.
function spreadEvenly(first, last, count) {
  if (count === 1) return [first];
  return Array.from({ length: count }, (_, i) => first + (i * (last - first)) / (count - 1));
}

// Returns the first place in ascending values before which all are smaller than `value`.
function searchSorted(values, value) {
  let low = 0, high = values.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (values[middle] < value) low = middle + 1;
    else high = middle;
  }
  return low;
}

// Returns the value at x of the line through the points (xs, ys); constant beyond its ends.
function interpolate(x, xs, ys) {
  if (x <= xs[0]) return ys[0];
  const last = xs.length - 1;
  if (x >= xs[last]) return ys[last];
  const right = searchSorted(xs, x), left = right - 1;
  return ys[left] + ((x - xs[left]) * (ys[right] - ys[left])) / (xs[right] - xs[left]);
}

function unique(values) {
  return [...new Set(values)].sort((a, b) => a - b);
}

function mean(values) {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}
