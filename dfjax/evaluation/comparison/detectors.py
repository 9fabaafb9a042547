"""Comparison of detectors by paired differences of a metric on the same videos.

The errors of two detectors on the same videos are correlated, so their intervals may overlap
although one detector is significantly better. A paired bootstrap estimates the difference directly:
every resample draws the same clusters of videos (`clusters`) for all detectors.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from dfjax.data.index.records import read_index
from dfjax.errors import UsageError, unknown
from dfjax.evaluation.comparison.comparison_files import COMPARISON_FILES, write_comparison
from dfjax.evaluation.comparison.differences import Comparison
from dfjax.evaluation.comparison.paired_scores import (
    PairedScores,
    Source,
    leave_out_held_back,
    pair_scores,
)
from dfjax.evaluation.metrics import RESAMPLES
from dfjax.evaluation.statistics.bootstrap import PERCENTILES, Tables, resample
from dfjax.evaluation.statistics.class_scores import Figures
from dfjax.evaluation.statistics.significance import correct_holm, delong_p_value
from dfjax.evaluation.statistics.weighted import RocSteps, auc, compute_statistics, split_classes
from dfjax.evaluation.tables.column_names import TableForm
from dfjax.evaluation.tables.split_choice import ALL
from dfjax.evaluation.videos.aggregation import VIDEO
from dfjax.outputs import check_outputs

AUC = "video_auc"


def compare(
    *sources: Source,
    split: str = "test",
    metric: str = "video_auc",
    index: str | os.PathLike[str] | None = None,
    names: Sequence[str] | None = None,
    resamples: int = RESAMPLES,
    seed: int = 0,
    columns: Mapping[str, str] | None = None,
    scale: str | None = None,
    out: str | os.PathLike[str] | None = None,
) -> Comparison:
    """Returns the paired differences of a metric between two or more detectors.

    Only videos with a score of every detector are used. The p-value is two-sided: twice the share
    of resamples whose difference is zero or has the other sign (one resample is added to both
    counts), at most 1. It is consistent with the interval and at least 2 / (`resamples` + 1).
    DeLong's test assumes that videos are independent, which videos of one cluster are not.

    Args:
        sources: For each detector a file or table of predictions, a report, or a workdir whose
            `eval/SPLIT/predictions.parquet` exists.
        split: Split of the workdirs, and of tables with several splits; `all` for all rows.
        metric: Name of a metric that has intervals, for example `video_auc`, `ap` or `log_loss`.
        index: Index with the groups, recordings and identities of the videos; None to use the
            columns of the predictions.
        names: Names of the detectors; None for the names of the workdirs and files.
        resamples: Number of bootstrap resamples.
        seed: Seed of the resampling.
        columns: Columns of files and tables by the names of predictions.
        scale: Scale of their scores: `prob`, `logit` or `percent`.
        out: Folder for `comparison.json`, `.md` and `.csv`; None for no files.

    Raises:
        UsageError: The sources cannot be joined (`pair_scores`), the metric is unknown or undefined
            on these videos, or a file in `out` is not one of ours.
    """
    if out is not None:
        inputs = [source for source in sources if isinstance(source, str | os.PathLike)]
        check_outputs((Path(out, name) for name in COMPARISON_FILES), inputs=inputs)
    known = read_index(Path(index)) if index is not None else None
    form = TableForm(columns or {}, scale)
    paired = pair_scores(sources, split=split, index=known, names=names, form=form)
    rows = _compare_pairs(paired, metric, resamples, seed)
    comparison = _summarise([paired], rows, metric, dict(zip(paired.names, paired.left_out)))
    if out is not None:
        write_comparison(comparison, Path(out))
    return comparison


def compare_scores(
    predictions: Sequence[pd.DataFrame],
    names: Sequence[str],
    *,
    metric: str = "video_auc",
    index: pd.DataFrame | None = None,
    heldout_methods: Collection[str] = (),
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Comparison:
    """Returns the differences between detectors that need not have scored the same videos.

    If some did not, every pair is compared on the videos that both scored; a pair without such
    videos, or with those of one class only, has no difference.

    Args:
        predictions: Predictions of each detector.
        names: Names of the detectors.
        metric: Name of a metric that has intervals.
        index: Index of the videos, or None.
        heldout_methods: Manipulations held back from training, whose videos are left out.
        resamples: Number of bootstrap resamples.
        seed: Seed of the resampling.
    """
    predictions, held_back = leave_out_held_back(list(predictions), heldout_methods)
    videos = [set(map(tuple, one[VIDEO].drop_duplicates().to_numpy())) for one in predictions]
    common = set.intersection(*videos)
    left_out = {name: len(one) - len(common) for name, one in zip(names, videos)}
    groups: dict[frozenset[tuple[str, ...]], list[int]] = {}
    for place, one in enumerate(videos):
        groups.setdefault(frozenset(one), []).append(place)
    found: list[PairedScores] = []
    rows: dict[tuple[int, int], dict[str, object]] = {}
    # Detectors of the same videos are drawn together, and those of two such groups for their pairs.
    for first, second in itertools.combinations_with_replacement(groups.values(), 2):
        members = first if first is second else [*first, *second]
        every = itertools.combinations(sorted(members), 2)
        pairs = [(a, b) for a, b in every if first is second or (a in first) != (b in first)]
        if not pairs:
            continue
        chosen = [names[place] for place in members]
        shared = set.intersection(*(videos[place] for place in members))
        number = {"videos": len(shared)} if len(groups) > 1 else {}
        named: dict[tuple[int, int], dict[str, object]] = {
            (a, b): {"a": names[a], "b": names[b], **number} for a, b in pairs
        }
        if shared:
            tables = [predictions[place] for place in members]
            paired = pair_scores(tables, split=ALL, index=index, names=chosen)
            found.append(paired)
            if len(set(paired.labels.tolist())) == 2:
                at = [(members.index(a), members.index(b)) for a, b in pairs]
                compared = _compare_pairs(paired, metric, resamples, seed, at)
                named = {pair: named[pair] | row for pair, row in zip(pairs, compared)}
        rows |= named
    if not found:
        raise UsageError(f"no two of {', '.join(names)} scored the same videos")
    result = _summarise(found, [rows[pair] for pair in sorted(rows)], metric, left_out)
    return replace(result, held_back=held_back)


def _summarise(
    found: Sequence[PairedScores],
    rows: list[dict[str, object]],
    metric: str,
    left_out: dict[str, int],
) -> Comparison:
    table = pd.DataFrame(rows)
    for name in ("p_value", "p_delong"):
        if name in table:
            table[f"{name}_holm"] = correct_holm(table[name].to_numpy(np.float64))
    if "videos" in table:
        # The last column: `outputs` knows our files by their first ones.
        table["videos"] = table.pop("videos")
    most = max(found, key=lambda paired: len(paired.labels))
    return Comparison(
        table=table,
        metric=metric,
        videos=len(most.labels),
        left_out=left_out,
        resampled=most.clusters.kind,
        clusters=most.clusters.count,
        held_back=most.held_back,
    )


def _compare_pairs(
    paired: PairedScores,
    metric: str,
    resamples: int,
    seed: int,
    pairs: Sequence[tuple[int, int]] | None = None,
) -> list[dict[str, object]]:
    """Returns a row for each of some pairs of detectors, or of all, before any correction."""
    values = [_measure(probs, paired.labels, metric) for probs in paired.probs]
    drawn = _draw(paired, metric, resamples, seed)
    rows = []
    for a, b in pairs or itertools.combinations(range(len(values)), 2):
        row: dict[str, object] = {"a": paired.names[a], "b": paired.names[b]}
        row |= {"value_a": values[a], "value_b": values[b], "difference": values[a] - values[b]}
        row |= _test_difference(drawn[a] - drawn[b])
        if metric == AUC:
            row["p_delong"] = delong_p_value(paired.probs[[a, b]], paired.labels)
        rows.append(row)
    return rows


def _measure(probs: np.ndarray, labels: np.ndarray, metric: str) -> float:
    """Returns the metric of one detector."""
    figures = compute_statistics(split_classes(probs, labels))
    if metric not in figures:
        raise unknown("metric with intervals", metric, figures)
    value = float(figures[metric][0])
    if not np.isfinite(value):
        raise UsageError(f"{metric} is undefined: the {len(labels)} common videos have one class")
    return value


def _draw(paired: PairedScores, metric: str, resamples: int, seed: int) -> list[Figures]:
    """Returns the metric of every detector in every resample, which is the same for all of them."""
    everything = [np.ones(len(paired.labels), bool)]
    tables = [Tables(probs, paired.labels, everything) for probs in paired.probs]
    clusters = paired.clusters.number
    parts: list[list[Figures]] = [[] for _ in tables]
    for counts in resample(paired.clusters.count, resamples, seed=seed):
        for part, table in zip(parts, tables):
            (classes,) = table.weigh(counts, clusters)
            # The AUC alone is several times as fast as all statistics.
            alone = metric == AUC
            part.append(auc(RocSteps(classes)) if alone else compute_statistics(classes)[metric])
    return [np.concatenate(part) for part in parts]


def _test_difference(drawn: Figures) -> dict[str, float]:
    """Returns the percentile interval of a difference, and the p-value that inverts it."""
    drawn = drawn[np.isfinite(drawn)]
    low, high = np.percentile(drawn, PERCENTILES)
    tail = int(min((drawn <= 0).sum(), (drawn >= 0).sum()))
    return {"low": low, "high": high, "p_value": min(1.0, 2.0 * (tail + 1) / (len(drawn) + 1))}
