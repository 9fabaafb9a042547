"""Means, rates and AUC of restored fakes beside baselines, with bootstrap intervals.

The table has one row per fake and arm: `unchanged` (the fake as it is), `histogram` (its colours
matched to those of the real video, which a generator is not given) and `restored`.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float, Int, UInt8

from dfjax.evaluation.statistics.bootstrap import compute_intervals, resample
from dfjax.evaluation.statistics.weighted import RocSteps, auc, split_classes

ARMS = ("unchanged", "histogram", "restored")
MEANS = ("psnr", "ssim", "warp_error", "identity_similarity")
THRESHOLD = 0.5
"""P(fake) from which a detector calls a video fake."""

RESAMPLES = 1000

Weights = Float[np.ndarray, "R G"]
Statistic = Callable[[Weights], Float[np.ndarray, "R"]]
"""Function from the weights of the groups, one row per weighting, to the value of each."""


def match_histogram(
    image: UInt8[np.ndarray, "H W C"], reference: UInt8[np.ndarray, "H W C"]
) -> UInt8[np.ndarray, "H W C"]:
    """Returns an image whose distribution of values is that of the reference, channel by channel.

    Args:
        image: Image to change.
        reference: Image with the wanted distribution.
    """
    matched = np.empty_like(image)
    for channel in range(image.shape[-1]):
        own, wanted = (
            np.cumsum(np.bincount(x[..., channel].ravel(), minlength=256)) / x[..., channel].size
            for x in (image, reference)
        )
        used = np.flatnonzero(np.diff(wanted, prepend=0.0))
        values = np.interp(own, wanted[used], used)
        matched[..., channel] = np.rint(values).astype(np.uint8)[image[..., channel]]
    return matched


def compute_restoration(
    fakes: pd.DataFrame, reals: pd.DataFrame | None, *, seed: int = 0
) -> dict[str, dict[str, Any]]:
    """Returns the metrics of every arm, with 95 % intervals `NAME_ci`.

    They are the means of `MEANS`; `flip_rate`, the share of the fakes called fake when unchanged
    that are called real; `auc`, of the fakes against the reals; and for the other arms than
    `unchanged` the differences to it, `psnr_gain`, `ssim_gain` and `auc_drop`. Whole groups are
    resampled. Metrics whose column is absent are left out, and so are arms without rows.

    Args:
        fakes: Rows with `video_id`, `group`, `arm`, columns of `MEANS` and `fake_prob`.
        reals: Rows with `group` and `fake_prob`; None without a detector.
        seed: Seed of the resamples.
    """
    tables = {arm: fakes[fakes["arm"] == arm].set_index("video_id") for arm in ARMS}
    base = tables["unchanged"]
    names = pd.unique(pd.concat([base["group"], *([] if reals is None else [reals["group"]])]))
    number = {name: place for place, name in enumerate(names)}
    draws = np.concatenate(list(resample(len(names), RESAMPLES, seed=seed))).astype(np.float64)
    result = {}
    for arm, table in tables.items():
        if table.empty:
            continue
        table = table.loc[base.index]
        statistics = _list_statistics(table, base, reals, number)
        values: dict[str, Any] = {}
        for name, statistic in statistics.items():
            values[name] = _number(statistic(np.ones((1, len(names))))[0])
            values |= compute_intervals({name: statistic(draws)})
        result[arm] = values
    return result


def _list_statistics(
    table: pd.DataFrame, base: pd.DataFrame, reals: pd.DataFrame | None, number: dict[Any, int]
) -> dict[str, Statistic]:
    group = base["group"].map(number).to_numpy(np.int64)
    found: dict[str, Statistic] = {}
    for name in MEANS:
        if name in table:
            found[name] = _make_mean(table[name].to_numpy(np.float64), group)
    other = table is not base and (table["arm"] != base["arm"]).all()
    for name in ("psnr", "ssim"):
        if other and name in table:
            gain = table[name].to_numpy(np.float64) - base[name].to_numpy(np.float64)
            found[f"{name}_gain"] = _make_mean(gain, group)
    if reals is None:
        return found
    before, after = (each["fake_prob"].to_numpy(np.float64) for each in (base, table))
    caught = before >= THRESHOLD
    found["flip_rate"] = _make_mean((after < THRESHOLD)[caught].astype(float), group[caught])
    real_group = reals["group"].map(number).to_numpy(np.int64)
    scores = reals["fake_prob"].to_numpy(np.float64)
    found["auc"] = after_auc = _make_auc(after, group, scores, real_group)
    if other:
        before_auc = _make_auc(before, group, scores, real_group)
        found["auc_drop"] = lambda weights: before_auc(weights) - after_auc(weights)
    return found


def _make_mean(values: Float[np.ndarray, "V"], group: Int[np.ndarray, "V"]) -> Statistic:
    def mean(weights: Weights) -> Float[np.ndarray, "R"]:
        each = weights[:, group]
        with np.errstate(invalid="ignore"):
            return (each @ values) / each.sum(1)

    return mean


def _make_auc(
    fakes: Float[np.ndarray, "V"],
    fake_group: Int[np.ndarray, "V"],
    reals: Float[np.ndarray, "N"],
    real_group: Int[np.ndarray, "N"],
) -> Statistic:
    scores, group = np.concatenate([fakes, reals]), np.concatenate([fake_group, real_group])
    labels = np.repeat([1, 0], [len(fakes), len(reals)])

    def area(weights: Weights) -> Float[np.ndarray, "R"]:
        return auc(RocSteps(split_classes(scores, labels, weights[:, group])))

    return area


def _number(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
