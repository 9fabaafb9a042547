// The calibration of `dfjax calibrate`: a map of P(fake), and verdicts at its error rates.

const MOST_LOGIT = 30;
const ROUNDING = 1e-12; // of sums of weights

// Returns the calibrated P(fake).
function calibrate(prob, { kind, x, y }) {
  if (kind === "none") return prob;
  if (kind === "isotonic") return interpolate(prob, x, y);
  const raw = Math.log(prob) - Math.log1p(-prob);
  const logit = Math.min(Math.max(raw, -MOST_LOGIT), MOST_LOGIT);
  const value = kind === "temperature" ? logit / x[0] : x[0] * logit + y[0];
  return 1 / (1 + Math.exp(-value));
}

// Returns `fake`, `real` or `undecided`, by the calibration videos that are as unlike each class.
function decide(prob, { classes, rates }) {
  const [real, fake] = classes.map(({ scores, above, groups }, label) =>
    (1 + above[searchSorted(scores, label ? -prob : prob)]) / (1 + groups));
  const notReal = real <= rates.false_alarm + ROUNDING, notFake = fake <= rates.miss + ROUNDING;
  if (notReal && notFake) return fake === real ? "undecided" : fake > real ? "fake" : "real";
  if (notReal) return "fake";
  return notFake ? "real" : "undecided";
}
