"""Verdicts with guaranteed error rates: split conformal prediction for each class.

A class is excluded if at most a share `rate` of its calibration videos look as unlike it as the
new video does. Then a real video is called fake with probability `rate` at most, and a fake one is
called real with probability `rate` at most, whatever the detector and the number of calibration
videos, provided that the new video and those of its class are exchangeable (Vovk et al., 2005;
Mondrian classes). If no class is excluded the verdict is `undecided`; if both are, which occurs at
rates above the detector's equal error rate, the one with the larger p-value is chosen, which keeps
both guarantees.

Videos of one group (recording or person) are not exchangeable with a video of a new group. So each
group counts once: the videos of a group share its weight (Lee, Barber and Willett, 2023). With
groups of one video this is the usual method.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float, Int

FAKE_VERDICT, REAL_VERDICT, UNDECIDED = "fake", "real", "undecided"
ROUNDING = 1e-12  # of sums of weights

Probs = Float[np.ndarray, "N"]


class Rates(NamedTuple):
    """Guaranteed error rates.

    Attributes:
        false_alarm: Largest probability that a real video is called fake.
        miss: Largest probability that a fake video is called real.
    """

    false_alarm: float
    miss: float


class PValues(NamedTuple):
    """Conformal p-values of videos for both classes."""

    real: Probs
    fake: Probs


def count_needed(rate: float) -> int:
    """Returns the least number of groups of a class with which videos of it can be excluded."""
    return math.ceil(1 / rate - ROUNDING) - 1


class Conformal:
    """The scores of the calibration videos of both classes."""

    def __init__(
        self, probs: Probs, labels: Int[np.ndarray, "N"], groups: Int[np.ndarray, "N"]
    ) -> None:
        """Sorts the scores of each class.

        Args:
            probs: P(fake) of each calibration video.
            labels: Label of each video.
            groups: Number of the group of each video.
        """
        self._classes = []
        for label in (0, 1):
            chosen = labels == label
            signed = probs[chosen] if label == 0 else -probs[chosen]  # larger: less like the class
            _, place, sizes = np.unique(groups[chosen], return_inverse=True, return_counts=True)
            order = np.argsort(signed, kind="stable")
            weights = (1 / sizes)[place][order]
            above = np.append(np.cumsum(weights[::-1])[::-1], 0.0)
            self._classes.append((signed[order], above, len(sizes)))

    @property
    def groups(self) -> dict[str, int]:
        """Number of groups of each class."""
        return {"real": self._classes[0][2], "fake": self._classes[1][2]}

    def to_table(self) -> list[dict[str, Any]]:
        """Returns what p-values are computed from, for reals and fakes, as JSON can store it.

        `scores` ascend, with those of fakes negated; `above` is the weight of the scores from each
        place on, and `groups` the number of groups.
        """
        return [
            {"scores": scores.tolist(), "above": above.tolist(), "groups": count}
            for scores, above, count in self._classes
        ]

    def compute_p_values(self, probs: Probs) -> PValues:
        """Returns the p-values of videos: (1 + weight of the class that is as unlike) / (1 + all).

        Args:
            probs: P(fake) of each video.
        """
        found = []
        for sign, (scores, above, count) in zip((1.0, -1.0), self._classes):
            first = np.searchsorted(scores, sign * np.asarray(probs, np.float64), side="left")
            found.append((1 + above[first]) / (1 + count))
        return PValues(*found)

    def decide(self, probs: Probs, rates: Rates) -> list[str]:
        """Returns the verdict on each video: `fake`, `real` or `undecided`.

        Args:
            probs: P(fake) of each video.
            rates: Error rates that are guaranteed.
        """
        p = self.compute_p_values(probs)
        not_real = p.real <= rates.false_alarm + ROUNDING
        not_fake = p.fake <= rates.miss + ROUNDING
        like_fake = np.where(not_real & not_fake, p.fake > p.real, not_real)
        decided = (not_real != not_fake) | (not_real & not_fake & (p.fake != p.real))
        verdicts = np.where(like_fake, FAKE_VERDICT, REAL_VERDICT)
        return np.where(decided, verdicts, UNDECIDED).tolist()

    def list_shortages(self, rates: Rates) -> list[str]:
        """Returns a sentence for each class of which there are too few groups for its rate."""
        sentences = []
        for kind, rate, effect in (
            ("real", rates.false_alarm, "no video can be called fake"),
            ("fake", rates.miss, "no video can be called real"),
        ):
            have, need = self.groups[kind], count_needed(rate)
            if have < need:
                sentences.append(
                    f"{effect} at an error rate of {rate:g}: that needs {need} groups of {kind} "
                    f"validation videos, and there are {have}"
                )
        return sentences
