"""How many videos of which class, manipulation and data set, and where."""

from collections.abc import Iterable

import pandas as pd

from dfjax import FAKE, REAL
from dfjax.data.index.audit.findings import ENOUGH, Evidence, Finding, make_finding, name_some
from dfjax.data.index.splits import PARTS

SMALL = 100  # videos of a class below which a test says little and training overfits
UNEVEN = 3.0  # of class sizes, from which accuracy misleads
UNEVEN_METHODS = 10.0
CLASSES = {REAL: "real", FAKE: "fake"}


def count_classes(index: pd.DataFrame) -> dict[str, int]:
    """Returns the number of real and of fake videos."""
    return {name: int((index["label"] == label).sum()) for label, name in CLASSES.items()}


def small_class(evidence: Evidence) -> Iterable[Finding]:
    """Fires when a class has fewer than 100 videos."""
    counts = count_classes(evidence.index)
    small = [f"{n} {name}" for name, n in counts.items() if n < SMALL]
    if small:
        message = (
            f"only {' and '.join(small)} videos: fewer than {SMALL} of a class are learnt by heart "
            "and measure nothing; add videos or see this as a trial"
        )
        yield make_finding("small_class", "warning", message, figure="balance")


def class_missing(evidence: Evidence) -> Iterable[Finding]:
    """Fires when a split that is used has no video of a class, or there is no training split."""
    index = evidence.index
    for split in PARTS:
        rows = index[index["split"] == split]
        missing = [name for name, n in count_classes(rows).items() if not n]
        if len(rows) and missing:
            message = f"split {split} has no {' and no '.join(missing)} videos"
            yield make_finding("class_missing", "warning", message, figure="balance")
    if not (index["split"] == "train").any():
        message = "no video is in split train; `dfjax data split` makes splits"
        yield make_finding("class_missing", "info", message, figure="balance")


def class_balance(evidence: Evidence) -> Iterable[Finding]:
    """Fires when one class has three times the videos of the other, or more."""
    counts = count_classes(evidence.index)
    low, high = sorted(counts, key=lambda name: counts[name])
    if counts[low] and counts[high] >= UNEVEN * counts[low]:
        message = (
            f"{counts[high]} {high} videos against {counts[low]} {low} "
            f"({counts[high] / counts[low]:.1f}x): read AUC and balanced accuracy, not accuracy; "
            "data.pairing=balanced or paired trains on both alike"
        )
        yield make_finding("class_imbalance", "warning", message, figure="balance")


def method_balance(evidence: Evidence) -> Iterable[Finding]:
    """Fires when a manipulation has ten times the videos of another, or is not in training."""
    index = evidence.index
    fakes = index[index["label"] == FAKE]
    counts = fakes["method"].value_counts()
    if len(counts) > 1 and counts.iloc[0] >= UNEVEN_METHODS * counts.iloc[-1]:
        message = (
            f"{counts.index[0]} has {counts.iloc[0]} videos, {counts.index[-1]} has "
            f"{counts.iloc[-1]}: the mean over all measures {counts.index[0]}; read by_method"
        )
        yield make_finding("method_imbalance", "warning", message, figure="balance")
    trained = set(fakes["method"][fakes["split"] == "train"])
    unseen = sorted(set(fakes["method"][fakes["split"].isin(("val", "test"))]) - trained)
    if trained and unseen:
        message = f"not in training, but validated or tested on: {name_some(unseen, 10)}"
        ids = fakes["video_id"][fakes["method"].isin(unseen)]
        yield make_finding("method_not_trained", "info", message, ids, figure="balance")


def sources(evidence: Evidence) -> Iterable[Finding]:
    """Fires when no data set has both classes, or some that has one stands beside others.

    A detector then tells the data sets apart, by their cameras, lengths and codecs.
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
            f"all reals are from {name_some(names['real'])}, all fakes from "
            f"{name_some(names['fake'])}: telling the data sets apart is enough. Add reals and "
            "fakes of one source to both classes"
        )
        severity = "error" if enough else "warning"
        yield make_finding("one_source_per_class", severity, message, figure="balance")
    elif (classes == 1).any():
        single = classes.index[classes == 1]
        message = f"data sets with one class only: {name_some(single, 10)}"
        ids = index["video_id"][index["dataset"].isin(single)]
        yield make_finding("one_class_per_source", "info", message, ids, figure="balance")
