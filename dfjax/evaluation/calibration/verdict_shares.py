"""Shares of verdicts: by cross-validation of the calibration videos, and of a table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float, Int
from scipy.stats import beta

from dfjax.evaluation.calibration.choice import measure_reliability
from dfjax.evaluation.calibration.conformal import (
    FAKE_VERDICT,
    REAL_VERDICT,
    UNDECIDED,
    Conformal,
    Rates,
)
from dfjax.evaluation.statistics.folds import FOLDS
from dfjax.evaluation.videos.aggregation import VIDEO, aggregate, clean

COLUMNS = ("calibrated_prob", "conformal_verdict")
"""Columns of a predictions table: both are of the video of a row."""
VERDICTS = (REAL_VERDICT, FAKE_VERDICT, UNDECIDED)
CLASSES = {"real": 0, "fake": 1}


def cross_decide(
    probs: Float[np.ndarray, "N"],
    labels: Int[np.ndarray, "N"],
    groups: Int[np.ndarray, "N"],
    limits: Sequence[float],
    *,
    seed: int = 0,
) -> dict[str, dict[float, dict[str, float]]]:
    """Returns the share of each verdict by class and error rate, each video without its fold.

    Args:
        probs: P(fake) of each video.
        labels: Label of each video.
        groups: Number of the group of each video; a group is in one fold.
        limits: Error rates, which are those of both classes.
        seed: Seed of the folds.
    """
    _, number = np.unique(groups, return_inverse=True)
    count = int(number.max()) + 1
    fold = np.random.default_rng(seed).permutation(count)[number] % min(FOLDS, count)
    verdicts = {limit: np.full(len(probs), UNDECIDED, object) for limit in limits}
    for left in range(int(fold.max()) + 1):
        chosen = fold == left
        if len(np.unique(labels[~chosen])) < 2:
            continue
        conformal = Conformal(probs[~chosen], labels[~chosen], groups[~chosen])
        for limit in limits:
            verdicts[limit][chosen] = conformal.decide(probs[chosen], Rates(limit, limit))
    return {
        kind: {
            limit: {name: float((found[labels == label] == name).mean()) for name in VERDICTS}
            for limit, found in verdicts.items()
        }
        for kind, label in CLASSES.items()
    }


def measure_verdict_shares(
    predictions: pd.DataFrame, guarantee: Mapping[str, Any] | None
) -> dict[str, Any] | None:
    """Returns the block `calibration` of `metrics.json`; None without the columns `COLUMNS`.

    It has the reliability `before` and `after`, the shares of verdicts by class, `false_alarm_rate`
    and `miss_rate` with exact binomial intervals (videos as independent), the share of decided
    videos, their accuracy, and `guarantee`.

    Args:
        predictions: Table of predictions.
        guarantee: What was guaranteed (`Judge.judge_table`), or None if it is not known.
    """
    if not set(COLUMNS) <= set(predictions.columns):
        return None
    videos = aggregate(clean(predictions)).merge(
        predictions[[*VIDEO, *COLUMNS]].drop_duplicates(VIDEO), on=VIDEO
    )
    videos = videos.dropna(subset=list(COLUMNS))
    if not len(videos):
        return None
    labels = videos["label"].to_numpy(np.int64)
    verdicts = videos["conformal_verdict"].to_numpy(object)
    shares: dict[str, dict[str, float | None]] = {}
    rates: dict[str, Any] = {}
    for kind, label in CLASSES.items():
        found, wrong = verdicts[labels == label], VERDICTS[1 - label]
        shares[kind] = {name: _share(found == name) for name in VERDICTS}
        name = "miss_rate" if label else "false_alarm_rate"
        rates[name] = _share(found == wrong)
        rates[f"{name}_ci"] = _interval(int((found == wrong).sum()), len(found))
    decided = verdicts != UNDECIDED
    right = verdicts == np.where(labels == 1, FAKE_VERDICT, REAL_VERDICT)
    reliability = {}
    for name, column in (("before", "fake_prob"), ("after", "calibrated_prob")):
        block = measure_reliability(videos[column].to_numpy(np.float64), labels)
        reliability[name] = {key: block[key] for key in ("log_loss", "brier", "ece")}
    return {
        "videos": len(videos),
        "reliability": reliability,
        "verdicts": shares,
        **rates,
        "decided": _share(decided),
        "accuracy_of_decided": _share(right[decided]),
        "guarantee": dict(guarantee) if guarantee else None,
    }


def _share(mask: np.ndarray) -> float | None:
    return float(np.mean(mask)) if len(mask) else None


def _interval(count: int, n: int) -> list[float] | None:
    """Returns the 95 % interval of a share (Clopper and Pearson, 1934)."""
    if not n:
        return None
    low = beta.ppf(0.025, count, n - count + 1) if count else 0.0
    high = beta.ppf(0.975, count + 1, n - count) if count < n else 1.0
    return [float(low), float(high)]
