"""Folds of cross-validation that keep clusters of videos whole."""

import numpy as np
from jaxtyping import Int

FOLDS = 5

Ints = Int[np.ndarray, "N"]


def split_folds(labels: Ints, clusters: Ints, seed: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """Returns the positions of the fitted and of the left-out videos of each fold.

    The folds have similar shares of fakes. There are `FOLDS`, or as many as clusters if these are
    fewer.

    Args:
        labels: Label of each video.
        clusters: Number of the cluster of each video; a cluster is in one fold.
        seed: Seed of the folds.
    """
    from sklearn.model_selection import StratifiedGroupKFold  # takes half a second to import

    count = min(FOLDS, len(np.unique(clusters)))
    folds = StratifiedGroupKFold(count, shuffle=True, random_state=seed)
    return list(folds.split(labels, labels, clusters))
