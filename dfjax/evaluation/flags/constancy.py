"""Detection of constant detectors: scores without spread, or nearly all verdicts the same.

F1, accuracy and recall of a constant detector can be high (predicting fake for every video has an
F1 of 0.667 where half of the videos are fake), so a checkpoint must not be chosen by them.
"""

import numpy as np
import pandas as pd

from dfjax.evaluation.statistics.class_scores import THRESHOLD

MIN_SPREAD = 0.01
"""Standard deviation of video scores below which they are constant."""
RARE = 0.1
"""Ratio of verdicts of a class to its videos below which verdicts are constant."""
NAMES = ("real", "fake")


def describe_constant(videos: pd.DataFrame) -> str:
    """Returns a description of how a detector is constant on these videos; "" if it is not.

    With videos of one class only, no detector counts as constant.

    Args:
        videos: One row per video with its `label` and `fake_prob` (`aggregation.aggregate`).
    """
    return describe_constant_scores(videos) or describe_constant_verdicts(videos)


def has_constant_scores(videos: pd.DataFrame) -> bool:
    """Returns whether the scores of videos of both classes have no spread.

    Args:
        videos: One row per video with its `label` and `fake_prob` (`aggregation.aggregate`).
    """
    scores = videos["fake_prob"].to_numpy(np.float64)
    return bool(videos["label"].nunique() == 2 and scores.std() < MIN_SPREAD)


def describe_constant_scores(videos: pd.DataFrame) -> str:
    """Returns a sentence with the range of constant scores; "" if they are not constant."""
    if not has_constant_scores(videos):
        return ""
    low, high = videos["fake_prob"].min(), videos["fake_prob"].max()
    return f"the scores of all videos lie between {low:.4f} and {high:.4f}"


def describe_constant_verdicts(videos: pd.DataFrame) -> str:
    """Returns a sentence about a verdict that is missing or rare, else "".

    A verdict (fake from 0.5 on) is rare if it is given to fewer videos than a tenth of those that
    have this label.
    """
    labels = videos["label"].to_numpy(np.int64)
    called = (videos["fake_prob"].to_numpy(np.float64) >= THRESHOLD).astype(np.int64)
    truth, verdicts = np.bincount(labels, minlength=2), np.bincount(called, minlength=2)
    for name, n, of_class in zip(NAMES, verdicts, truth):
        if 0 < of_class < len(videos) and n < RARE * of_class:
            few = f"only {n} of {len(videos)} videos are" if n else "no video is"
            return f"{few} classified as {name}, although {of_class} are {name}"
    return ""
