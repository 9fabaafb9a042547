// Square crops of faces, as the detector was trained on.

// Returns the crop of a frame around a box; beyond the frame its border is repeated.
function cutSquare(frame, box, size, margin) {
  const { left, top, side } = findSquare(box, frame, margin);
  const square = makePicture(side, side);
  for (let y = 0; y < side; y++) {
    const row = Math.min(Math.max(top + y, 0), frame.height - 1);
    for (let x = 0; x < side; x++) {
      const column = Math.min(Math.max(left + x, 0), frame.width - 1);
      const from = 3 * (frame.width * row + column), to = 3 * (side * y + x);
      square.data[to] = frame.data[from];
      square.data[to + 1] = frame.data[from + 1];
      square.data[to + 2] = frame.data[from + 2];
    }
  }
  return side > size ? shrinkByArea(square, size, size) : enlarge(square, size, size);
}

// Returns the square around a box in pixels; its centre is inside of the frame.
function findSquare(box, { width, height }, margin) {
  const side = Math.max(1, roundEven(sideOf(box) * margin));
  const x = Math.min(Math.max((box[0] + box[2]) / 2, 0), width);
  const y = Math.min(Math.max((box[1] + box[3]) / 2, 0), height);
  return { left: roundEven(x - side / 2), top: roundEven(y - side / 2), side };
}

// Returns the box of the largest square in the middle of a frame.
function centreSquare({ width, height }) {
  const side = Math.min(width, height);
  const left = Math.floor((width - side) / 2), top = Math.floor((height - side) / 2);
  return [left, top, left + side, top + side];
}
