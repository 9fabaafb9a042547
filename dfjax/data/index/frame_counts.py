"""Frames per video and class: where one class is longer, its length is the label."""

from typing import Any

import numpy as np
import pandas as pd

from dfjax import FAKE, REAL


def count_frames(index: pd.DataFrame) -> pd.Series:
    """Returns the frames of each video, NaN where unknown: its own, or those extracted of it."""
    return index["n_frames"].astype("float64").fillna(count_crops(index))


def describe_frames(block: dict[str, Any]) -> str:
    """Returns a `summarise_frames` in which both classes have a mean, in words."""
    classes = [
        f"{name} {block[name]['mean']:.1f} ± {block[name]['sd'] or 0.0:.1f} (n {block[name]['n']})"
        for name in ("real", "fake")
    ]
    return f"{', '.join(classes)}, ratio {block['ratio']:.1f}"


def count_crops(index: pd.DataFrame) -> pd.Series:
    """Returns the face crops of each video, NaN where none were extracted yet."""
    return index["frame_indices"].map(measure_list).astype("float64")


def measure_list(value: Any) -> float:
    """Returns the length of a list of the index, NaN where there is none."""
    return float(len(value)) if isinstance(value, list | tuple | np.ndarray) else np.nan


def summarise_frames(frames: pd.Series, labels: pd.Series) -> dict[str, Any]:
    """Returns `{"real": {"n", "mean", "sd"}, "fake": …, "ratio"}`, the ratio of the larger mean.

    Videos of unknown length do not count; what too few videos leave undefined is None. A ratio
    far from 1 gives the class away: data of 8.0 frames a real video and 49.8 a fake one has been
    learnt perfectly by counting frames.

    Args:
        frames: per video.
        labels: of the same videos.
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
