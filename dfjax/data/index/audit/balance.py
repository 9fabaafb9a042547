"""Rules about the numbers of videos per class, manipulation, data set and split."""

from collections.abc import Iterable

import pandas as pd

from dfjax import FAKE, REAL
from dfjax.data.index.audit.findings import ENOUGH, Evidence, Finding, make_finding, name_some
from dfjax.data.index.splits import PARTS

SMALL = 100  # videos per class; with fewer, training overfits and test metrics are imprecise
UNEVEN = 3.0  # ratio of class sizes from which accuracy is misleading
UNEVEN_METHODS = 10.0  # ratio of the sizes of the largest and the smallest manipulation
CLASSES = {REAL: "real", FAKE: "fake"}


def count_classes(index: pd.DataFrame) -> dict[str, int]:
    """Returns the number of real and of fake videos."""
    return {name: int((index["label"] == label).sum()) for label, name in CLASSES.items()}


def small_class(evidence: Evidence) -> Iterable[Finding]:
    """Yields a warning when a class has fewer than 100 videos."""
    counts = count_classes(evidence.index)
    small = [f"{n} {name}" for name, n in counts.items() if n < SMALL]
    if small:
        message = (
            f"there are only {' and '.join(small)} videos; with fewer than {SMALL} per class, "
            "training overfits and metrics are imprecise; add videos"
        )
        yield make_finding("small_class", "warning", message, figure="balance")


def class_missing(evidence: Evidence) -> Iterable[Finding]:
    """Yields a warning for each used split without a class, and a note without a training split."""
    index = evidence.index
    for split in PARTS:
        rows = index[index["split"] == split]
        missing = [name for name, n in count_classes(rows).items() if not n]
        if len(rows) and missing:
            message = f"the split {split} has no {' and no '.join(missing)} videos"
            yield make_finding("class_missing", "warning", message, figure="balance")
    if not (index["split"] == "train").any():
        message = "no video is in the split train; `dfjax data split` assigns splits"
        yield make_finding("class_missing", "info", message, figure="balance")


def class_balance(evidence: Evidence) -> Iterable[Finding]:
    """Yields a warning when one class has at least three times the videos of the other."""
    counts = count_classes(evidence.index)
    low, high = sorted(counts, key=lambda name: counts[name])
    if counts[low] and counts[high] >= UNEVEN * counts[low]:
        message = (
            f"{counts[high]} {high} videos against {counts[low]} {low} "
            f"({counts[high] / counts[low]:.1f}x): use AUC and balanced accuracy instead of "
            "accuracy; data.pairing=balanced or paired trains on both classes equally"
        )
        yield make_finding("class_imbalance", "warning", message, figure="balance")


def method_balance(evidence: Evidence) -> Iterable[Finding]:
    """Yields findings on manipulations of very unequal size and on those not trained on.

    A manipulation with ten times the videos of another is a warning. One that is validated or
    tested on but not trained on is a note.
    """
    index = evidence.index
    fakes = index[index["label"] == FAKE]
    counts = fakes["method"].value_counts()
    if len(counts) > 1 and counts.iloc[0] >= UNEVEN_METHODS * counts.iloc[-1]:
        message = (
            f"{counts.index[0]} has {counts.iloc[0]} videos, {counts.index[-1]} has "
            f"{counts.iloc[-1]}, so overall metrics mostly measure {counts.index[0]}; see the "
            "metrics by method"
        )
        yield make_finding("method_imbalance", "warning", message, figure="balance")
    trained = set(fakes["method"][fakes["split"] == "train"])
    unseen = sorted(set(fakes["method"][fakes["split"].isin(("val", "test"))]) - trained)
    if trained and unseen:
        message = f"validated or tested on, but not trained on: {name_some(unseen, 10)}"
        ids = fakes["video_id"][fakes["method"].isin(unseen)]
        yield make_finding("method_not_trained", "info", message, ids, figure="balance")


def sources(evidence: Evidence) -> Iterable[Finding]:
    """Yields a finding when data sets contain only one class.

    It is an error if that holds for all data sets, and a note if it holds for some. A detector can
    then separate the classes by the cameras, lengths and codecs of the data sets.
    """
    index = evidence.index
    if index["label"].nunique() < 2:
        return
    classes = index.groupby("dataset")["label"].nunique()
    names = {
        name: sorted(set(index["dataset"][index["label"] == label]))
        for label, name in CLASSES.items()
    }
    if (classes == 1).all():
        enough = min(count_classes(index).values()) >= ENOUGH
        message = (
            f"all real videos are from {name_some(names['real'])} and all fakes from "
            f"{name_some(names['fake'])}, so a detector can separate the classes by data set; add "
            "real and fake videos of the same source"
        )
        severity = "error" if enough else "warning"
        yield make_finding("one_source_per_class", severity, message, figure="balance")
    elif (classes == 1).any():
        single = classes.index[classes == 1]
        message = f"data sets with one class only: {name_some(single, 10)}"
        ids = index["video_id"][index["dataset"].isin(single)]
        yield make_finding("one_class_per_source", "info", message, ids, figure="balance")
