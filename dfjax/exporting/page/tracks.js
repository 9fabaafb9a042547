// One face through a video: detections are linked, gaps are filled and boxes smoothed.
// A box is [x0, y0, x1, y1] in pixels; a track is a Map from the place of a frame to a detection.

const MAX_SHIFT = 0.75; // box sides between linked detections
const MAX_SCALE = 1.6; // ratio of box sides between linked detections
const MIN_FRAGMENT = 3; // detections; shorter tracks beside the main one are false positives

// Returns { boxes, found } of the face that is largest, most persistent and most central, or null.
function followFace(detections, width, height) {
  const rank = (track) => [...track].reduce((sum, [place, number]) => {
    const box = detections[place][number];
    return sum + sideOf(box) * centrality(box, width, height);
  }, 0);
  const tracks = linkDetections(detections).map((track) => ({ track, rank: rank(track) }));
  if (!tracks.length) return null;
  tracks.sort((a, b) => b.rank - a.rank);
  const chosen = new Map(tracks[0].track);
  for (const { track } of tracks.slice(1)) {
    const apart = [...track.keys()].every((place) => !chosen.has(place));
    if (track.size >= MIN_FRAGMENT && apart) track.forEach((number, place) => chosen.set(place, number));
  }
  const found = detections.map((_, place) => chosen.has(place));
  const boxes = detections.map((all, place) => (found[place] ? all[chosen.get(place)] : null));
  return { boxes: smoothBoxes(fillBoxes(boxes)), found };
}

// Returns tracks; the nearest pairs of detections are linked first.
function linkDetections(detections) {
  const tracks = [], last = [];
  detections.forEach((boxes, place) => {
    const pairs = [];
    last.forEach((seen, k) => boxes.forEach((box, n) => {
      const shift = shiftBetween(seen, box);
      if (shift <= MAX_SHIFT) pairs.push([shift, k, n]);
    }));
    pairs.sort((a, b) => a[0] - b[0] || a[1] - b[1] || a[2] - b[2]);
    const free = new Set(boxes.keys());
    for (const [, k, n] of pairs) {
      if (!free.has(n) || tracks[k].has(place)) continue;
      free.delete(n);
      tracks[k].set(place, n);
      last[k] = boxes[n];
    }
    for (const n of free) {
      tracks.push(new Map([[place, n]]));
      last.push(boxes[n]);
    }
  });
  return tracks;
}

// Returns the distance of two boxes' centres in mean sides, or infinity if their sizes differ.
function shiftBetween(a, b) {
  const small = Math.min(sideOf(a), sideOf(b)), large = Math.max(sideOf(a), sideOf(b));
  if (large > MAX_SCALE * small) return Infinity;
  const x = (a[0] + a[2] - b[0] - b[2]) / 2, y = (a[1] + a[3] - b[1] - b[3]) / 2;
  return (2 * Math.hypot(x, y)) / (small + large);
}

function sideOf(box) {
  return Math.max(box[2] - box[0], box[3] - box[1]);
}

// Returns a factor that falls from 1 in the middle of the picture to 1/2 in its corners.
function centrality(box, width, height) {
  const x = (box[0] + box[2]) / width - 1, y = (box[1] + box[3]) / height - 1;
  return 1 - Math.min(1, Math.hypot(x, y) / Math.SQRT2) / 2;
}

// Returns boxes in which missing ones (null) lie between those before and after.
function fillBoxes(boxes) {
  const places = boxes.flatMap((box, place) => (box ? [place] : []));
  const columns = [0, 1, 2, 3].map((k) => places.map((place) => boxes[place][k]));
  return boxes.map((_, place) =>
    columns.map((values) => Math.fround(interpolate(place, places, values))));
}

// Returns square boxes whose centres and sides went through a median and a weighted mean of three.
function smoothBoxes(boxes) {
  let rows = boxes.map((box) => [(box[0] + box[2]) / 2, (box[1] + box[3]) / 2, sideOf(box)]);
  if (rows.length > 2) {
    rows = neighbours(rows, (a, b, c) => a + b + c - Math.min(a, b, c) - Math.max(a, b, c));
    rows = neighbours(rows, (a, b, c) => (a + 2 * b + c) / 4);
  }
  return rows.map(([x, y, side]) =>
    [x - side / 2, y - side / 2, x + side / 2, y + side / 2].map(Math.fround));
}

// Returns a function of each row and those beside it; the ends are continued by point reflection.
function neighbours(rows, combine) {
  const last = rows.length - 1;
  return rows.map((row, i) => row.map((value, k) => {
    const before = i ? rows[i - 1][k] : 2 * value - rows[1][k];
    const after = i < last ? rows[i + 1][k] : 2 * value - rows[last - 1][k];
    return combine(before, value, after);
  }));
}
