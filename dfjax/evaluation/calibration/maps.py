"""Maps from P(fake) of a video to a calibrated probability: temperature, Platt and isotonic.

All maps ascend, so that they do not change the order of videos. The first two work on the logit of
P(fake): temperature scaling divides it (Guo et al., 2017), Platt scaling is a line of it (Platt,
1999). Isotonic regression fits any ascending step function (Zadrozny and Elkan, 2002).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int
from scipy.optimize import minimize, minimize_scalar
from scipy.special import expit, logit

from dfjax.evaluation.videos.aggregation import MOST_LOGIT

Probs = Float[np.ndarray, "N"]
Labels = Int[np.ndarray, "N"]

LIMITS = (-7.0, 7.0)  # of the natural logarithm of the temperature

WEAKEST = 1e-6
"""Least slope of Platt scaling: where scores rank fakes below reals the map is nearly constant."""


class CalibrationMap(NamedTuple):
    """A map of probabilities.

    Attributes:
        kind: A key of `FITS`.
        x: For `temperature` the temperature, for `platt` the slope, for `isotonic` the ascending
            probabilities between which the map is linear; empty for `none`.
        y: For `platt` the offset, for `isotonic` the values at `x`; otherwise empty.
    """

    kind: str
    x: tuple[float, ...] = ()
    y: tuple[float, ...] = ()

    def __call__(self, probs: Probs) -> Probs:
        """Returns the calibrated probabilities."""
        if self.kind == "none":
            return np.asarray(probs, np.float64)
        if self.kind == "isotonic":
            return np.interp(probs, self.x, self.y)
        logits = find_logits(probs)
        if self.kind == "temperature":
            return expit(logits / self.x[0])
        return expit(self.x[0] * logits + self.y[0])


def find_logits(probs: Float[np.ndarray, "*shape"]) -> Float[np.ndarray, "*shape"]:
    """Returns the logits of probabilities, between -`MOST_LOGIT` and `MOST_LOGIT`."""
    with np.errstate(divide="ignore"):
        return np.clip(logit(np.asarray(probs, np.float64)), -MOST_LOGIT, MOST_LOGIT)


def smooth_targets(labels: Labels) -> Probs:
    """Returns Platt's targets, (n + 1) / (n + 2) for the n fakes and 1 / (m + 2) for the m reals.

    With them a fit is finite where the scores separate the classes.
    """
    fakes = int(labels.sum())
    reals = len(labels) - fakes
    return np.where(labels == 1, (fakes + 1) / (fakes + 2), 1 / (reals + 2))


def fit_none(probs: Probs, labels: Labels) -> CalibrationMap:
    """Returns the map that changes nothing."""
    return CalibrationMap("none")


def fit_temperature(probs: Probs, labels: Labels) -> CalibrationMap:
    """Returns temperature scaling with the least log loss of Platt's targets."""
    logits, targets = find_logits(probs), smooth_targets(labels)

    def loss(log_temperature: float) -> float:
        return _compute_loss(logits / np.exp(log_temperature), targets)

    found = minimize_scalar(loss, bounds=LIMITS, method="bounded", options={"xatol": 1e-8})
    return CalibrationMap("temperature", (float(np.exp(found.x)),))


def fit_platt(probs: Probs, labels: Labels) -> CalibrationMap:
    """Returns Platt scaling with the least log loss of Platt's targets, of all that ascend."""
    logits, targets = find_logits(probs), smooth_targets(labels)

    def loss(line: Float[np.ndarray, "2"]) -> tuple[float, Float[np.ndarray, "2"]]:
        values = line[0] * logits + line[1]
        excess = expit(values) - targets
        slope = np.array([(excess * logits).mean(), excess.mean()])
        return _compute_loss(values, targets), slope

    found = minimize(
        loss, np.array([1.0, 0.0]), jac=True, method="L-BFGS-B",
        bounds=[(WEAKEST, None), (None, None)], options={"ftol": 1e-15, "gtol": 1e-10},
    )  # fmt: skip
    return CalibrationMap("platt", (float(found.x[0]),), (float(found.x[1]),))


def fit_isotonic(probs: Probs, labels: Labels) -> CalibrationMap:
    """Returns isotonic regression, with values from 1 / (n + 2) to 1 - 1 / (n + 2) for n videos.

    The limits, Laplace's estimate for a step of n videos of one class, keep the log loss finite.
    """
    from sklearn.isotonic import IsotonicRegression  # takes half a second to import

    least = 1 / (len(labels) + 2)
    fitted = IsotonicRegression(y_min=least, y_max=1 - least, out_of_bounds="clip")
    fitted.fit(np.asarray(probs, np.float64), labels.astype(np.float64))
    x, y = fitted.X_thresholds_, fitted.y_thresholds_
    return CalibrationMap("isotonic", tuple(x.tolist()), tuple(y.tolist()))


FITS: dict[str, Callable[[Probs, Labels], CalibrationMap]] = {
    "none": fit_none,
    "temperature": fit_temperature,
    "platt": fit_platt,
    "isotonic": fit_isotonic,
}
"""Functions that fit a map to probabilities and labels, the simplest first."""


def _compute_loss(logits: Probs, targets: Probs) -> float:
    """Returns the mean log loss of logits for targets that are probabilities."""
    return float((np.maximum(logits, 0) - logits * targets + np.log1p(np.exp(-abs(logits)))).mean())


def compute_log_losses(probs: Probs, labels: Labels) -> Probs:
    """Returns the log loss of each video; that of a probability of 0 is about 34.5."""
    chosen = np.where(labels == 1, probs, 1.0 - probs)
    return -np.log(np.clip(chosen, 1e-15, 1.0))
