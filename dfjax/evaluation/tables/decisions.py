"""Decisions in a table (real or fake), which one threshold on its scores must explain."""

from __future__ import annotations

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float

from dfjax.evaluation.flags import Flag, make_flag
from dfjax.evaluation.statistics.class_scores import THRESHOLD

COLUMN = "verdict"
"""Column of the decisions; fake is 1, as for labels."""


def check_decisions(table: pd.DataFrame, called_fake: Bool[np.ndarray, "N"], name: str) -> Flag:
    """Returns a flag that names the threshold of decisions, or the rows that contradict any.

    Rows of one video with one decision are compared by their mean score.

    Args:
        table: Rows with a decision: `dataset video_id fake_prob`.
        called_fake: Decision of each row.
        name: Name of the file, for the message.
    """
    videos = table.assign(called=called_fake.astype(float)).groupby(
        ["dataset", "video_id"], sort=False
    )[["fake_prob", "called"]]
    means = videos.mean()
    if len(means) < len(table) and means["called"].isin((0.0, 1.0)).all():
        scores, called = means["fake_prob"].to_numpy(), means["called"].to_numpy() == 1
        ids = means.index.get_level_values("video_id").to_numpy()
    else:
        scores, called = table["fake_prob"].to_numpy(np.float64), called_fake
        ids = table["video_id"].to_numpy()
    low, high, wrong = explain(scores, called)
    if wrong.any() and not explain(scores, ~called)[2].any():
        message = f"{name}: its decisions are inverted: low scores are called fake, high ones real"
        return make_flag("decisions_inverted", "error", message)
    if wrong.any():
        message = (
            f"{name}: no single threshold explains the decisions: at the best one, "
            f"{(low + high) / 2:.4g}, {wrong.sum()} of {len(wrong)} differ"
        )
        return make_flag("decisions_unexplained", "warning", message, ids[wrong])
    if low < THRESHOLD <= high:
        message = f"{name}: its decisions are those of a threshold of {THRESHOLD}"
    else:
        message = (
            f"{name}: its decisions follow a threshold between {low:.4g} and {high:.4g}; the "
            f"metrics use {THRESHOLD}"
        )
    return make_flag("decision_threshold", "info", message)


def explain(
    scores: Float[np.ndarray, "N"], called: Bool[np.ndarray, "N"]
) -> tuple[float, float, Bool[np.ndarray, "N"]]:
    """Returns the bounds (low, high] of the best thresholds, and which decisions differ there.

    A threshold t in these bounds decides "fake" from a score of t on. The best one is that which
    the fewest decisions contradict, and of several the highest.

    Args:
        scores: P(fake).
        called: Whether each was called fake.
    """
    order = np.argsort(-scores, kind="stable")
    ranked, fake = scores[order], called[order]
    # Threshold after the first k scores: contradicted by the reals among them and fakes below.
    wrong = np.r_[0, np.cumsum(~fake)] + np.r_[np.cumsum(fake[::-1])[::-1], 0]
    inside = np.r_[False, ranked[1:] == ranked[:-1], False]  # between equal scores is no threshold
    best = int(np.argmin(np.where(inside, len(scores) + 1, wrong)))
    high = float(ranked[best - 1]) if best else np.inf
    low = float(ranked[best]) if best < len(ranked) else -np.inf
    return low, high, (scores >= high) != called
