"""The choice of one of several checkpoints, by validation videos or, as benchmarks do, test ones.

The best of several numbers on the test set is too high: it also contains their noise.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from dfjax.evaluation.conventions.protocol_names import COMPAT, STRICT
from dfjax.evaluation.conventions.scored_rows import measure
from dfjax.evaluation.tables.split_choice import TEST, VALIDATION
from dfjax.evaluation.videos.aggregation import aggregate, clean
from dfjax.evaluation.videos.cuts import find_heldout

METRICS = {STRICT: ("video_auc",), COMPAT: ("frame_auc", "clip_auc")}
"""Metrics that checkpoints are chosen by; the first one that is defined."""


def choose_checkpoints(
    results: Mapping[str, Mapping[str, Any]],
    predictions: Mapping[str, pd.DataFrame],
    protocol: str,
    heldout_methods: Sequence[str] = (),
) -> dict[str, Any]:
    """Returns the chosen checkpoint of each data set and its number, `{"on", "by_dataset"}`.

    By the strict protocol one checkpoint is chosen, by its video AUC on the rows of split `val`;
    without such rows none is, and the result is empty. By that of DeepfakeBench the best on the
    test set is chosen for each data set.

    Args:
        results: Content of `metrics.json` of each checkpoint, by its name.
        predictions: All predictions of each checkpoint.
        protocol: One of `PROTOCOLS`.
        heldout_methods: Manipulations held back from training, which choose no checkpoint.
    """
    datasets = dict.fromkeys(name for one in results.values() for name in one["by_dataset"])
    numbers = {
        dataset: {name: _find(one, dataset, protocol) for name, one in results.items()}
        for dataset in datasets
    }
    if protocol == COMPAT:
        chosen = {dataset: _best(values) for dataset, values in numbers.items()}
    else:
        values = {name: _measure(one, heldout_methods) for name, one in predictions.items()}
        best = _best(values)
        if best is None:
            return {}
        chosen = dict.fromkeys(datasets, best)
    found = {
        dataset: {"checkpoint": name, "value": numbers[dataset][name]}
        for dataset, name in chosen.items()
        if name is not None
    }
    return {"on": TEST if protocol == COMPAT else VALIDATION, "by_dataset": found}


def _find(result: Mapping[str, Any], dataset: str, protocol: str) -> float | None:
    measured = result["by_dataset"].get(dataset, {})
    values = [measured.get(metric) for metric in METRICS[protocol]]
    return next((value for value in values if value is not None), None)


def _measure(predictions: pd.DataFrame, heldout_methods: Sequence[str]) -> float | None:
    """Returns the video AUC on the rows of the validation split, or None."""
    rows = predictions[predictions["split"] == VALIDATION]
    videos = aggregate(clean(rows[~find_heldout(rows, heldout_methods)]))
    scores, labels = videos["fake_prob"].to_numpy(np.float64), videos["label"].to_numpy(np.int64)
    value = measure(scores, labels)
    return value if np.isfinite(value) else None


def _best(values: Mapping[str, float | None]) -> str | None:
    """Returns the name of the largest value, of several the first, or None."""
    known = {name: value for name, value in values.items() if value is not None}
    return max(known, key=lambda name: known[name]) if known else None
