"""Detectors that say the same of everything: all verdicts alike, or scores without spread.

F1, accuracy and recall of such a detector can look like work (calling everything fake has F1 0.667
where half of the videos are fake), so that a checkpoint must not be chosen by them.
"""

import pandas as pd

from dfjax.evaluation.statistics import THRESHOLD

MIN_SPREAD = 0.01
"""Standard deviation of video scores below which they are called constant."""
RARE = 0.1
"""Verdicts are constant when one class is called less often than this share of its videos."""
NAMES = ("real", "fake")


def has_constant_scores(videos: pd.DataFrame) -> bool:
    """Returns whether the scores of videos of both classes have no spread.

    Args:
        videos: One row per video with its `label` and `fake_prob` (`aggregation.aggregate`).
    """
    scores, labels = videos["fake_prob"].to_numpy(float), videos["label"].to_numpy(int)
    return bool(0 < labels.sum() < len(labels) and scores.std() < MIN_SPREAD)


def describe_constant(videos: pd.DataFrame) -> str:
    """Returns in which way a detector is constant on these videos; "" for one that is not.

    Constant are scores whose standard deviation is below `MIN_SPREAD`, and verdicts (fake from 0.5
    on) of which one is missing or rare: fewer than a tenth as many videos are called real, say, as
    are real. Both are judged only where there are videos of both classes, because a detector that
    calls everything fake is right where everything is fake.

    Args:
        videos: One row per video with its `label` and `fake_prob` (`aggregation.aggregate`).
    """
    scores, labels = videos["fake_prob"].to_numpy(float), videos["label"].to_numpy(int)
    if not 0 < labels.sum() < len(labels):
        return ""
    if has_constant_scores(videos):
        return f"the scores of all videos lie between {scores.min():.4f} and {scores.max():.4f}"
    called = (scores >= THRESHOLD).astype(int)
    for label, name in enumerate(NAMES):
        n, there = int((called == label).sum()), int((labels == label).sum())
        if n < RARE * there:
            few = "no video is" if not n else f"only {n} of {len(videos)} videos are"
            return f"{few} called {name}, and {there} are {name}"
    return ""
