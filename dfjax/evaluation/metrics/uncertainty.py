"""The uncertainty of scores from several draws, and how well it predicts wrong verdicts.

A draw is one P(fake) of a clip, from a member of an ensemble, from a pass of Monte-Carlo dropout
(Gal and Ghahramani, 2016), or from a pass of a member. The score is the mean over draws. Logarithms
are natural.
"""

from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float
from scipy.special import entr

from dfjax.evaluation.statistics import weighted
from dfjax.evaluation.statistics.class_scores import THRESHOLD
from dfjax.evaluation.videos.aggregation import VIDEO, clean, coarsest

Draws = Float[np.ndarray, "D N"]
Values = Float[np.ndarray, "N"]

MEASURES = ("fake_prob_sd", "entropy", "mutual_information")
"""Columns of a predictions table; a higher value means less certainty."""
DOUBT = "doubt"
"""Name of the baseline min(p, 1 - p), which needs no draws."""


def summarise_draws(draws: Draws) -> dict[str, Values]:
    """Returns `fake_prob` and MEASURES of N clips from D draws of each.

    `fake_prob_sd` is the standard deviation over the draws (with divisor D). `entropy` is the
    entropy of the mean, the total uncertainty. `mutual_information` is the part of it that comes
    from disagreement between the draws, the epistemic uncertainty (Houlsby et al., 2011).
    """
    mean = draws.mean(axis=0)
    entropy = binary_entropy(mean)
    expected = binary_entropy(draws).mean(axis=0)
    return {
        "fake_prob": mean,
        "fake_prob_sd": draws.std(axis=0),
        "entropy": entropy,
        "mutual_information": np.maximum(entropy - expected, 0.0),  # negative only by rounding
    }


def binary_entropy(probs: Float[np.ndarray, "*shape"]) -> Float[np.ndarray, "*shape"]:
    """Returns -p ln p - (1 - p) ln (1 - p), which is 0 for p = 0 or 1 and ln 2 for p = 1/2."""
    return entr(probs) + entr(1.0 - probs)


def has_uncertainty(predictions: pd.DataFrame) -> bool:
    """Returns whether a predictions table has all MEASURES."""
    return set(MEASURES) <= set(predictions.columns)


def aggregate_uncertainty(predictions: pd.DataFrame) -> pd.DataFrame:
    """Returns one row per video: `dataset video_id label fake_prob`, MEASURES and DOUBT.

    The measures are means over the rows of the coarsest unit of a video.
    """
    rows = coarsest(clean(predictions)).dropna(subset=list(MEASURES))
    videos = rows.groupby(VIDEO, sort=True)
    table = videos[["label"]].first()
    table[["fake_prob", *MEASURES]] = videos[["fake_prob", *MEASURES]].mean()
    table[DOUBT] = np.minimum(table["fake_prob"], 1.0 - table["fake_prob"])
    return table.reset_index()


def compute_uncertainty(predictions: pd.DataFrame) -> dict[str, Any] | None:
    """Returns the block `uncertainty` of `metrics.json`, on videos; None without MEASURES.

    For each measure and for DOUBT it has `error_auc`, the AUC of ranking wrong verdicts above right
    ones (None if all are right or all are wrong), `risk_coverage_area`, and the means `mean_right`
    and `mean_wrong`. `risk_coverage_best` is the smallest possible area, with all errors last; the
    expected area of a random order is `error_rate`.
    """
    if not has_uncertainty(predictions):
        return None
    videos = aggregate_uncertainty(predictions)
    if not len(videos):
        return None
    wrong = find_errors(videos)
    block: dict[str, Any] = {
        "videos": len(videos),
        "error_rate": float(wrong.mean()),
        "risk_coverage_best": risk_coverage_area(wrong.astype(np.float64), wrong),
    }
    for name in (*MEASURES, DOUBT):
        values = videos[name].to_numpy(np.float64)
        block[name] = {
            "error_auc": _finite(error_auc(values, wrong)),
            "risk_coverage_area": risk_coverage_area(values, wrong),
            "mean_right": _finite(values[~wrong].mean() if (~wrong).any() else np.nan),
            "mean_wrong": _finite(values[wrong].mean() if wrong.any() else np.nan),
        }
    return block


def find_errors(videos: pd.DataFrame) -> Bool[np.ndarray, "N"]:
    """Returns a mask of the videos whose verdict (fake from 0.5 on) is wrong."""
    verdict = videos["fake_prob"].to_numpy() >= THRESHOLD
    return verdict != (videos["label"].to_numpy() == 1)


def error_auc(uncertainty: Values, wrong: Bool[np.ndarray, "N"]) -> float:
    """Returns the AUC of ranking wrong verdicts above right ones by uncertainty."""
    table = weighted.split_classes(uncertainty, wrong.astype(int))
    return float(weighted.auc(weighted.RocSteps(table))[0])


def risk_coverage(
    uncertainty: Values, wrong: Bool[np.ndarray, "N"]
) -> tuple[Float[np.ndarray, "N"], Float[np.ndarray, "N"]]:
    """Returns coverage k / N and risk, the error rate among the k least uncertain of N videos.

    See Geifman and El-Yaniv (2017). Where videos are equally uncertain, the risk is the mean over
    all orders of them.
    """
    order = np.argsort(uncertainty, kind="stable")
    ends = np.flatnonzero(np.r_[np.diff(uncertainty[order]) > 0, True]) + 1  # of groups of ties
    errors = np.r_[0, np.cumsum(wrong[order])[ends - 1]]
    taken = np.arange(1, len(order) + 1)
    return taken / len(order), np.interp(taken, np.r_[0, ends], errors) / taken


def tabulate_risk(videos: pd.DataFrame) -> pd.DataFrame:
    """Returns the risk-coverage curves: `coverage`, and the risk by each of MEASURES and DOUBT.

    Args:
        videos: Table of `aggregate_uncertainty`.
    """
    wrong = find_errors(videos)
    curves = {
        name: risk_coverage(videos[name].to_numpy(np.float64), wrong) for name in (*MEASURES, DOUBT)
    }
    coverage = np.arange(1, len(videos) + 1) / len(videos)
    risks = {f"risk_by_{name}": risk for name, (_, risk) in curves.items()}
    return pd.DataFrame({"coverage": coverage, **risks})


def risk_coverage_area(uncertainty: Values, wrong: Bool[np.ndarray, "N"]) -> float:
    """Returns the mean risk over all coverages 1/N … 1 (AURC); lower is better."""
    return float(risk_coverage(uncertainty, wrong)[1].mean())


def _finite(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
