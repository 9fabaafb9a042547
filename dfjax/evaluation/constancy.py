"""Detectors that say the same of everything: all verdicts alike, or scores without spread.

F1, accuracy and recall of such a detector can look like work (calling everything fake has F1 0.667
where half of the videos are fake), so that a checkpoint must not be chosen by them.
"""

import numpy as np
import pandas as pd

from dfjax.evaluation.statistics import THRESHOLD

MIN_SPREAD = 0.01
"""Standard deviation of video scores below which they are called constant."""
RARE = 0.1
"""Verdicts are constant when one class is called less often than this share of its videos."""
NAMES = ("real", "fake")


def describe_constant(videos: pd.DataFrame) -> str:
    """Returns in which way a detector is constant on these videos; "" for one that is not.

    Both scores and verdicts are judged only where there are videos of both classes: a detector that
    calls everything fake is right where everything is fake.

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
    """Returns the range of constant scores (`has_constant_scores`), else ""."""
    if not has_constant_scores(videos):
        return ""
    low, high = videos["fake_prob"].min(), videos["fake_prob"].max()
    return f"the scores of all videos lie between {low:.4f} and {high:.4f}"


def describe_constant_verdicts(videos: pd.DataFrame) -> str:
    """Returns which verdict is missing or rare, else "".

    Rare is a verdict, fake from 0.5 on, that fewer than a tenth as many videos get as ought to.
    """
    labels = videos["label"].to_numpy(np.int64)
    called = (videos["fake_prob"].to_numpy(np.float64) >= THRESHOLD).astype(np.int64)
    there, got = np.bincount(labels, minlength=2), np.bincount(called, minlength=2)
    for name, n, of_class in zip(NAMES, got, there):
        if 0 < of_class < len(videos) and n < RARE * of_class:
            few = f"only {n} of {len(videos)} videos are" if n else "no video is"
            return f"{few} called {name}, and {of_class} are {name}"
    return ""
