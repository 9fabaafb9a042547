"""Applies the calibration of a workdir to verdicts, and says whether their guarantee holds."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

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
from dfjax.evaluation.drift.distances import Distance, compare_properties, describe_power
from dfjax.evaluation.videos.aggregation import VIDEO, aggregate, clean
from dfjax.inference.ensemble import Ensemble
from dfjax.inference.verdict import Verdict

SCORE = "fake_prob"
"""Name of the score among the properties that are compared."""


def find_calibration(ensemble: Ensemble, *, required: bool = False) -> Calibration | None:
    """Returns the calibration of an ensemble's checkpoint in the workdir of its first member.

    One of another checkpoint, or of scores that were made otherwise, is refused: a note says so.

    Args:
        ensemble: Detectors that are applied.
        required: Whether it is an error if there is none.

    Raises:
        UsageError: The file is damaged, or there is no calibration and it is required.
    """
    path = ensemble.workdir / CALIBRATION
    if not path.is_file():
        if required:
            raise UsageError(f"there is no {path}: run `dfjax calibrate` first")
        return None
    calibration = read_calibration(path)
    differs = _find_difference(calibration, ensemble)
    if differs is None:
        return calibration
    message = f"{path} is refused: {differs}; run `dfjax calibrate` again"
    if required:
        raise UsageError(message)
    say(f"note: {message}")
    return None


def _find_difference(calibration: Calibration, ensemble: Ensemble) -> str | None:
    if calibration.checkpoint_sha256 != ensemble.checkpoint_sha256:
        return f"it is of the checkpoint {calibration.checkpoint}, not of {ensemble.checkpoint}"
    draws, now = calibration.scoring["draws"], ensemble.draws
    if draws != now:
        return f"it is of scores made with {draws or 'one draw'}, not with {now or 'one draw'}"
    return None


def find_judge(
    ensemble: Ensemble,
    calibrated: bool = True,
    false_alarm_rate: float | None = None,
    overrides: Sequence[str] = (),
) -> Judge | None:
    """Returns the verdicts of the calibration in the workdir; None without one.

    Args:
        ensemble: Detectors that are applied.
        calibrated: Whether a calibration is used.
        false_alarm_rate: Error rate of verdicts, of both classes; None for those of the
            calibration.
        overrides: Names of arguments that make clips otherwise than for the calibration.

    Raises:
        UsageError: The file is damaged, or an error rate is given without a calibration.
    """
    if not calibrated:
        return None
    calibration = find_calibration(ensemble, required=false_alarm_rate is not None)
    if calibration is None:
        return None
    rates = None if false_alarm_rate is None else Rates(false_alarm_rate, false_alarm_rate)
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
            guarantee=self._describe([]) | {"p_real": float(p.real[0]), "p_fake": float(p.fake[0])},
        )

    def _describe(self, reasons: Sequence[str]) -> dict[str, Any]:
        found = [*self.reasons, *reasons]
        return {
            "false_alarm_rate": self.rates.false_alarm,
            "miss_rate": self.rates.miss,
            "holds": not found,
            "reason": "; ".join(found) or None,
        }

    def conclude(self, verdicts: Sequence[Verdict]) -> list[Verdict]:
        """Returns the verdicts, without the guarantee if the inputs drift; notes say which holds.

        Args:
            verdicts: Verdicts of `__call__`.
        """
        scored = [one for one in verdicts if one.fake_prob is not None]
        sample = {SCORE: np.array([one.fake_prob for one in scored], np.float64)}
        for name in self.calibration.inputs:
            values = [one.origin.measures.get(name, np.nan) if one.origin else np.nan
                      for one in scored]  # fmt: skip
            sample[name] = np.array(values, np.float64)
        reasons, notes = self.find_drift(sample)
        for note in notes:
            say(f"note: {note}")
        stated = self._describe(reasons)
        return [
            one if one.guarantee is None
            else dataclasses.replace(one, guarantee={**one.guarantee, **stated})
            for one in verdicts
        ]  # fmt: skip

    def find_drift(
        self, sample: Mapping[str, Float[np.ndarray, "_"]]
    ) -> tuple[list[str], list[str]]:
        """Returns the reasons why inputs are not like the calibration set, and notes.

        Args:
            sample: Scores and properties of the inputs by name.
        """
        reference = {SCORE: self.calibration.fake_prob, **self.calibration.inputs}
        found = compare_properties(reference, sample, self.calibration.label)
        reasons = [_describe_drift(name, one) for name, one in found.items() if one.drifted]
        notes = list(self.shortages)
        if self.reasons or reasons:
            notes.append(f"no guarantee: {'; '.join([*self.reasons, *reasons])}")
        else:
            notes.append(
                f"verdicts are guaranteed at a false-alarm rate of {self.rates.false_alarm:g} and "
                f"a miss rate of {self.rates.miss:g} on videos like the {len(reference[SCORE])} "
                "of the calibration"
            )
            notes.append(f"drift: {describe_power(found, len(sample[SCORE]))}")
        return reasons, notes

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
        reasons, _ = self.find_drift(sample)
        fitted = videos["video_id"].isin(self.calibration.video_id)
        if fitted.any():
            reasons.append(f"the calibration was fitted to {fitted.sum()} of these videos")
        columns = videos[VIDEO].assign(
            calibrated_prob=self.calibration.map(probs),
            conformal_verdict=self.calibration.conformal.decide(probs, self.rates),
        )
        added = predictions.merge(columns, on=VIDEO, how="left")
        settings = {"map": self.calibration.map.kind, "fitted_to": int(fitted.sum())}
        return added, {**self._describe(reasons), **settings, "shortages": self.shortages}


def _describe_drift(name: str, found: Distance) -> str:
    what = "the score" if name == SCORE else name
    low, high = found.median
    return (
        f"{what} drifts from the calibration set (median {low:.3g}, here {high:.3g}; PSI "
        f"{found.psi:.2f}, p {found.p:.1g})"
    )
