// What the page shows of each file, and the table that can be saved.

const THRESHOLD = 0.5;
const COLUMNS = ["input", "status", "fake_prob", "calibrated_prob", "verdict", "frames_used",
  "faces_missed", "error", "note"];

// Returns the row of a file, from the other thread's result or the reason why there is none.
function makeRow(name, result, error) {
  if (error) return { input: name, status: "error", error };
  const { calibration } = SETTINGS, prob = result.fakeProb;
  return {
    input: name,
    status: "ok",
    fake_prob: prob,
    calibrated_prob: calibration ? calibrate(prob, calibration.map) : null,
    verdict: calibration ? decide(prob, calibration) : prob >= THRESHOLD ? "fake" : "real",
    frames_used: result.framesUsed,
    faces_missed: result.facesMissed,
    note: result.note,
  };
}

// Returns rows as CSV. A name that a spreadsheet would take for a formula gets an apostrophe.
function makeCsv(rows) {
  const cell = (value) => {
    if (value === null || value === undefined) return "";
    const text = typeof value === "string" && /^[=+\-@\t\r]/.test(value) ? `'${value}` : String(value);
    return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  };
  const lines = rows.map((row) => COLUMNS.map((name) => cell(row[name])).join(","));
  return [COLUMNS.join(","), ...lines].join("\r\n") + "\r\n";
}

function element(name, content = "", attributes = {}) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...[content].flat());
  return made;
}

// Returns the card of a file: verdict, score, the faces that were scored, the score over time.
function drawCard(row, result) {
  const card = element("article", [], { class: `result ${row.verdict || "failed"}`, tabindex: "-1" });
  card.append(element("h3", row.input));
  if (row.status === "error") {
    card.append(element("p", row.error === "cancelled" ? "Cancelled" : `Not scored: ${row.error}`));
    return card;
  }
  const words = { fake: "Looks fake", real: "Looks real", undecided: "Undecided" };
  card.append(element("p", words[row.verdict], { class: `verdict ${row.verdict}` }));
  card.append(drawScale(row.fake_prob), drawNumbers(row, result));
  if (row.note) card.append(element("p", `Note: ${row.note}.`, { class: "quiet" }));
  card.append(drawFaces(result.pictures));
  if (result.clipScores.length > 1) card.append(drawClips(result));
  return card;
}

// Returns a bar from real to fake with a mark at the score.
function drawScale(prob) {
  const said = `P(fake) ${prob.toFixed(4)} on a scale from 0, real, to 1, fake`;
  const mark = element("span", "", { class: "mark" });
  mark.style.left = `${100 * prob}%`;
  const ends = element("div", [element("span", "0 real"), element("span", "fake 1")], { class: "ends" });
  return element("div", [element("div", mark, { class: "bar", role: "img", "aria-label": said }), ends]);
}

function drawNumbers(row, result) {
  const values = { "P(fake)": row.fake_prob.toFixed(4) };
  if (row.calibrated_prob !== null) values["calibrated P(fake)"] = row.calibrated_prob.toFixed(4);
  values["frames used"] = row.frames_used;
  const share = result.faceShare;
  values["frames with a face"] = share === null ? "not searched" : `${Math.round(100 * share)}%`;
  if (result.clipScores.length > 1) values.clips = result.clipScores.length;
  const pairs = Object.entries(values).map(([name, value]) =>
    element("div", [element("dt", name), element("dd", String(value))]));
  return element("dl", pairs);
}

function drawFaces(pictures) {
  const shown = pictures.map(({ number, picture: { width, height, data } }) => {
    const canvas = element("canvas", "", { role: "img", "aria-label": `the crop of frame ${number}` });
    [canvas.width, canvas.height] = [width, height];
    const image = new ImageData(width, height);
    for (let i = 0, k = 0; k < data.length; i += 4, k += 3) {
      image.data.set([data[k], data[k + 1], data[k + 2], 255], i);
    }
    canvas.getContext("2d").putImageData(image, 0, 0);
    return canvas;
  });
  const caption = element("figcaption", "What the detector saw", {});
  return element("figure", [caption, element("div", shown, { class: "crops" })]);
}

// Returns the score of each clip as a bar, from the first to the last.
function drawClips({ clipScores, clipRanges }) {
  const bars = clipScores.map((prob, i) => {
    const [first, last] = clipRanges[i], kind = prob >= THRESHOLD ? "fake" : "real";
    const label = `frames ${first} to ${last}: P(fake) ${prob.toFixed(4)}`;
    const bar = element("span", "", { class: kind, title: label });
    bar.style.height = `${Math.max(2, 100 * prob)}%`;
    return bar;
  });
  const low = Math.min(...clipScores).toFixed(4), high = Math.max(...clipScores).toFixed(4);
  const said = `P(fake) of ${clipScores.length} clips in order, from ${low} to ${high}`;
  const caption = element("figcaption", ["P(fake) of the clips in order", element("small", `from ${low} to ${high}`)]);
  return element("figure", [caption, element("div", bars, { class: "clipbars", role: "img", "aria-label": said })]);
}
