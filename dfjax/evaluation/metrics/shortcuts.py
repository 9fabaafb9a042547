"""The share of a detector's AUC that shortcuts explain, with bootstrap intervals."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from dfjax.evaluation.statistics.bootstrap import Tables, compute_intervals, draw_statistics
from dfjax.evaluation.statistics.class_scores import Figures
from dfjax.evaluation.statistics.weighted import RocSteps, auc

Scores = Float[np.ndarray, "N"]
AUC = "video_auc"


def compute_shortcuts(
    reals: Scores,
    fakes: Scores,
    changed: Mapping[str, tuple[Scores, Scores]],
    clusters: Int[np.ndarray, "V"],
    *,
    resamples: int = 1000,
    seed: int = 0,
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Returns the AUC of the detector, and a row for each shortcut.

    The `share` of a shortcut is (its AUC - 1/2) / (the AUC of the detector - 1/2): 0 where the
    detector does not react to it, 1 where it separates changed from unchanged real videos as well
    as fakes from reals. Shares of several shortcuts need not add up to 1, and one above 1 is
    possible. Resamples draw whole clusters, with all versions of their videos, so that an interval
    accounts for what the two AUCs share.

    Args:
        reals: P(fake) of the R real videos.
        fakes: P(fake) of the F fakes.
        changed: P(fake) of two versions of each real video, that which counts as real and that
            which counts as fake, by the name of the shortcut.
        clusters: Number of the cluster of each real video and then of each fake, from 0.
        resamples: Number of bootstrap resamples.
        seed: Seed of the draws.
    """
    number, pairs = len(reals), list(changed.values())
    scores = np.concatenate([reals, fakes, *(part for pair in pairs for part in pair)])
    labels = np.repeat(
        [0, 1, *[0, 1] * len(pairs)], [number, len(fakes), *[number] * 2 * len(pairs)]
    )
    cluster = np.concatenate([clusters, *[clusters[:number]] * 2 * len(pairs)])
    table = np.repeat(np.arange(1 + len(pairs)), [number + len(fakes), *[2 * number] * len(pairs)])
    tables = Tables(scores, labels, [table == place for place in range(1 + len(pairs))])
    measured = [float(auc(RocSteps(each))[0]) for each in tables.weigh()]
    drawn = [each[AUC] for each in draw_statistics(tables, cluster, resamples=resamples, seed=seed)]
    base = {AUC: measured[0], **compute_intervals({AUC: drawn[0]})}
    rows = []
    for name, value, values in zip(changed, measured[1:], drawn[1:]):
        share = {"auc": values, "share": _divide(values, drawn[0])}
        found = {"shortcut": name, "auc": value}
        found["share"] = float(_divide(np.array([value]), np.array([measured[0]]))[0])
        rows.append({**found, **compute_intervals(share)})
    return base, rows


def _divide(values: Figures, base: Figures) -> Figures:
    """Returns shares of an AUC above chance; NaN where it is not above chance."""
    above = np.where(base > 0.5, base - 0.5, np.nan)
    return (values - 0.5) / above
