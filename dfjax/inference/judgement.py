"""Applies the calibration of a workdir to verdicts, and says whether their guarantee holds."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol, runtime_checkable

import numpy as np
import pandas as pd
from jaxtyping import Float

from dfjax.console import say
from dfjax.errors import UsageError
from dfjax.evaluation.calibration.calibration_file import (
    CALIBRATION,
    Calibration,
    check_rates,
    read_calibration,
)
from dfjax.evaluation.calibration.conformal import Rates
from dfjax.evaluation.drift.distances import (
    Distance,
    compare_properties,
    describe_power,
    is_judged,
)
from dfjax.evaluation.videos.aggregation import VIDEO, aggregate, clean
from dfjax.inference.verdict import Verdict

SCORE = "fake_prob"
"""Name of the score among the properties that are compared."""


PENDING = "the drift of the inputs is judged when all of them are scored"
"""Reason of verdicts that have not gone through `Judge.conclude`."""


@runtime_checkable
class Calibrated(Protocol):
    """A detector or an ensemble, which may have a calibration in its workdir."""

    @property
    def workdir(self) -> Path:
        """Folder of `calibration.json`."""
        ...

    @property
    def checkpoint(self) -> str:
        """Name of the checkpoint."""
        ...

    @property
    def checkpoint_sha256(self) -> str:
        """Hash of the checkpoint's files."""
        ...

    @property
    def draws(self) -> str:
        """Description of dropout passes and mirror images; empty without them."""
        ...


class Drift(NamedTuple):
    """What is known of the difference between inputs and the calibration set.

    Attributes:
        reasons: Why the inputs are not like the calibration set; empty if no drift is seen.
        unchecked: Why this cannot be judged; empty if it can.
        power: What drift could have been seen.
    """

    reasons: list[str]
    unchecked: str
    power: str


def find_calibration(scorer: Calibrated, *, required: bool = False) -> Calibration | None:
    """Returns the calibration of a checkpoint in its workdir.

    One of another checkpoint, or of scores that were made otherwise, is refused: a note says so.

    Args:
        scorer: Detector or ensemble that is applied.
        required: Whether it is an error if there is none.

    Raises:
        UsageError: The file is damaged, or there is no calibration and it is required.
    """
    path = scorer.workdir / CALIBRATION
    if not path.is_file():
        if required:
            raise UsageError(f"there is no {path}: run `dfjax calibrate` first")
        return None
    calibration = read_calibration(path)
    differs = _find_difference(calibration, scorer)
    if differs is None:
        return calibration
    message = f"{path} is refused: {differs}; run `dfjax calibrate` again"
    if required:
        raise UsageError(message)
    say(f"note: {message}")
    return None


def _find_difference(calibration: Calibration, scorer: Calibrated) -> str | None:
    if calibration.checkpoint_sha256 != scorer.checkpoint_sha256:
        return f"it is of the checkpoint {calibration.checkpoint}, not of {scorer.checkpoint}"
    draws, now = calibration.scoring["draws"], scorer.draws
    if draws != now:
        return f"it is of scores made with {draws or 'one draw'}, not with {now or 'one draw'}"
    return None


def find_judge(
    scorer: Calibrated,
    calibrated: bool = True,
    false_alarm_rate: float | None = None,
    miss_rate: float | None = None,
    overrides: Sequence[str] = (),
) -> Judge | None:
    """Returns the verdicts of the calibration in the workdir; None without one.

    Args:
        scorer: Detector or ensemble that is applied.
        calibrated: Whether a calibration is used.
        false_alarm_rate: Error rate of verdicts on real videos; None for that of the calibration.
        miss_rate: Error rate of verdicts on fakes; None for that of the calibration.
        overrides: Names of arguments that make clips otherwise than for the calibration.

    Raises:
        UsageError: The file is damaged, or an error rate is given without a calibration.
    """
    asked = false_alarm_rate is not None or miss_rate is not None
    if not calibrated:
        if asked:
            raise UsageError(
                "error rates of verdicts need the calibration, which is not to be used"
            )
        return None
    calibration = find_calibration(scorer, required=asked)
    if calibration is None:
        return None
    own = calibration.rates
    rates = Rates(
        own.false_alarm if false_alarm_rate is None else false_alarm_rate,
        own.miss if miss_rate is None else miss_rate,
    )
    return Judge(calibration, rates, overrides=overrides)


class Judge:
    """Verdicts with a guarantee, from the calibration of a checkpoint."""

    def __init__(
        self, calibration: Calibration, rates: Rates | None = None, *, overrides: Sequence[str] = ()
    ) -> None:
        """Checks the rates.

        Args:
            calibration: Calibration of the checkpoint.
            rates: Error rates to guarantee; None for those of the calibration.
            overrides: Names of arguments that make clips otherwise than for the calibration.

        Raises:
            UsageError: A rate is out of range.
        """
        self.calibration = calibration
        self.rates = check_rates(rates or calibration.rates)
        self.reasons = [f"{name} differs from the calibration" for name in overrides]
        self.shortages = calibration.conformal.list_shortages(self.rates)

    def __call__(self, verdict: Verdict) -> Verdict:
        """Returns a verdict with the calibrated probability, decided at the error rates."""
        if verdict.fake_prob is None:
            return verdict
        prob = np.array([verdict.fake_prob])
        p = self.calibration.conformal.compute_p_values(prob)
        return dataclasses.replace(
            verdict,
            calibrated_prob=float(self.calibration.map(prob)[0]),
            verdict=self.calibration.conformal.decide(prob, self.rates)[0],
            guarantee=self.describe(Drift([], PENDING, ""))
            | {"p_real": float(p.real[0]), "p_fake": float(p.fake[0])},
        )

    def describe(self, drift: Drift) -> dict[str, Any]:
        """Returns the error rates of verdicts, and whether they are guaranteed with some drift."""
        found = [*self.reasons, *drift.reasons]
        return {
            "false_alarm_rate": self.rates.false_alarm,
            "miss_rate": self.rates.miss,
            "holds": False if found else None if drift.unchecked else True,
            "reason": "; ".join(found) or drift.unchecked or None,
        }

    def conclude(self, verdicts: Sequence[Verdict]) -> tuple[list[Verdict], list[str]]:
        """Returns the verdicts, whose guarantee now says whether it holds, and notes on this.

        Args:
            verdicts: Verdicts of `__call__`, on all inputs.
        """
        scored = [one for one in verdicts if one.fake_prob is not None]
        sample = {SCORE: np.array([one.fake_prob for one in scored], np.float64)}
        for name in self.calibration.inputs:
            values = [one.origin.measures.get(name, np.nan) if one.origin else np.nan
                      for one in scored]  # fmt: skip
            sample[name] = np.array(values, np.float64)
        drift = self.find_drift(sample)
        stated = self.describe(drift)
        concluded = [
            one if one.guarantee is None
            else dataclasses.replace(one, guarantee={**one.guarantee, **stated})
            for one in verdicts
        ]  # fmt: skip
        return concluded, [*self.shortages, *self._list_notes(stated, drift)]

    def _list_notes(self, stated: Mapping[str, Any], drift: Drift) -> list[str]:
        if stated["holds"] is False:
            return [f"no guarantee: {stated['reason']}"]
        rates = (
            f"a false-alarm rate of {self.rates.false_alarm:g} and a miss rate of "
            f"{self.rates.miss:g} on videos like the {len(self.calibration.label)} of the "
            "calibration"
        )
        if stated["holds"] is None:
            return [f"verdicts are at {rates}; whether the inputs are like these is not checked "
                    f"({drift.unchecked}), so nothing is guaranteed"]  # fmt: skip
        return [f"verdicts are guaranteed at {rates}", f"drift: {drift.power}"]

    def find_drift(self, sample: Mapping[str, Float[np.ndarray, "_"]]) -> Drift:
        """Returns whether inputs are like the calibration set, as far as their number shows it.

        Args:
            sample: Scores and properties of the inputs by name.
        """
        reference = {SCORE: self.calibration.fake_prob, **self.calibration.inputs}
        found = compare_properties(reference, sample, self.calibration.label)
        reasons = [_describe_drift(name, one) for name, one in found.items() if one.drifted]
        power = describe_power(found, len(sample[SCORE]))
        return Drift(reasons, "" if is_judged(found) else power, power)

    def judge_table(
        self, predictions: pd.DataFrame, measures: pd.DataFrame | None = None
    ) -> tuple[pd.DataFrame, dict[str, Any]]:
        """Returns predictions with the columns `calibrated_prob` and `conformal_verdict`.

        Both are of the video of each row. The second value says what is guaranteed, as `guarantee`
        of a verdict does, with the number of videos that the calibration was fitted to.

        Args:
            predictions: Table of predictions.
            measures: Properties of the input by `video_id`; None if they are not known.
        """
        videos = aggregate(clean(predictions))
        probs = videos["fake_prob"].to_numpy(np.float64)
        sample = {SCORE: probs}
        if measures is not None:
            rows = measures.reindex(videos["video_id"])
            sample |= {name: rows[name].to_numpy(np.float64) for name in rows}
        drift = self.find_drift(sample)
        fitted = videos["video_id"].isin(self.calibration.video_id)
        if fitted.any():
            drift.reasons.append(f"the calibration was fitted to {fitted.sum()} of these videos")
        columns = videos[VIDEO].assign(
            calibrated_prob=self.calibration.map(probs),
            conformal_verdict=self.calibration.conformal.decide(probs, self.rates),
        )
        added = predictions.merge(columns, on=VIDEO, how="left")
        settings = {"map": self.calibration.map.kind, "fitted_to": int(fitted.sum())}
        return added, {**self.describe(drift), **settings, "shortages": self.shortages}


def _describe_drift(name: str, found: Distance) -> str:
    what = "the score" if name == SCORE else name
    low, high = found.median
    return (
        f"{what} drifts from the calibration set (median {low:.3g}, here {high:.3g}; PSI "
        f"{found.psi:.2f}, p {found.p:.1g})"
    )
