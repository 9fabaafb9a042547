"""Counts frames per video and class; different lengths of the classes reveal the label."""

from typing import Any

import numpy as np
import pandas as pd

from dfjax import FAKE, REAL


def count_frames(index: pd.DataFrame) -> pd.Series:
    """Returns the number of frames of each video, or of its crops, NaN where both are unknown."""
    return index["n_frames"].astype("float64").fillna(count_crops(index))


def describe_frames(block: dict[str, Any]) -> str:
    """Returns the result of `summarise_frames` as text. Both classes must have a mean."""
    classes = [
        f"{name} {block[name]['mean']:.1f} ± {block[name]['sd'] or 0.0:.1f} (n {block[name]['n']})"
        for name in ("real", "fake")
    ]
    return f"{', '.join(classes)}, ratio {block['ratio']:.1f}"


def count_crops(index: pd.DataFrame) -> pd.Series:
    """Returns the number of face crops of each video, NaN before extraction."""
    return index["frame_indices"].map(measure_list).astype("float64")


def measure_list(value: Any) -> float:
    """Returns the length of a list of the index, NaN for null."""
    return float(len(value)) if isinstance(value, list | tuple | np.ndarray) else np.nan


def summarise_frames(frames: pd.Series, labels: pd.Series) -> dict[str, Any]:
    """Returns `{"real": {"n", "mean", "sd"}, "fake": …, "ratio"}`.

    `ratio` is that of the larger to the smaller mean. Videos of unknown length are not counted, and
    statistics of too few videos are None. A ratio far from 1 reveals the class: a detector has
    separated real videos of 8.0 frames from fakes of 49.8 frames perfectly by their length.

    Args:
        frames: Number of frames of each video.
        labels: Labels of the same videos.
    """
    block: dict[str, Any] = {}
    for label, name in ((REAL, "real"), (FAKE, "fake")):
        values = frames[labels == label].dropna()
        block[name] = {
            "n": len(values),
            "mean": float(values.mean()) if len(values) else None,
            "sd": float(values.std()) if len(values) > 1 else None,
        }
    means = [block["real"]["mean"], block["fake"]["mean"]]
    block["ratio"] = max(means) / min(means) if all(means) else None
    return block
