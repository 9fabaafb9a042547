"""Rules about properties that are unrelated to manipulation and should not differ by class."""

from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from scipy.stats import rankdata

from dfjax import FAKE, REAL
from dfjax.data.index.audit.balance import CLASSES
from dfjax.data.index.audit.faces import Faces
from dfjax.data.index.audit.findings import ENOUGH, Evidence, Finding, make_finding
from dfjax.data.index.frame_counts import count_crops, count_frames, measure_list, summarise_frames
from dfjax.data.index.splits import PARTS

APART = 0.75  # AUC of one property from which it separates classes or splits
LONGER = 1.5  # ratio of the classes' mean lengths from which lengths are reported
SURE = 3.0  # least distance of an AUC from 0.5, in standard errors of a random ranking
RE_ENCODE = "re-encode both classes with the same settings"
SAME_SOURCE = "take both classes from the same sources"


class Property(NamedTuple):
    """One property of videos.

    Attributes:
        title: Name for people.
        unit: Unit, or an empty string.
        remedy: What to do if the property separates the classes.
    """

    title: str
    unit: str
    remedy: str


PROPERTIES = {
    "length": Property(
        "frames of the video", "frames",
        "equalise lengths: cut the videos of both classes to the same number of frames",
    ),
    "crops": Property(
        "face crops", "crops", "extract the same number of frames of every video"
    ),
    "duration": Property("duration", "s", "cut the videos of both classes to the same duration"),
    "fps": Property("frame rate", "1/s", "re-sample both classes to one frame rate"),
    "pixels": Property("picture size", "pixels", "re-scale both classes to one picture size"),
    "aspect": Property("width / height", "", "crop both classes to one shape"),
    "bitrate": Property("bit-rate", "bit/s", RE_ENCODE),
    "frame_bytes": Property("bytes per frame", "bytes", RE_ENCODE),
    "codec": Property("codec", "", RE_ENCODE),
    "compression": Property("compression", "", "train on one compression for both classes"),
    "brightness": Property("brightness of the face", "", SAME_SOURCE),
    "contrast": Property("contrast of the face", "", SAME_SOURCE),
    "warmth": Property("red minus blue of the face", "", SAME_SOURCE),
    "sharpness": Property(
        "sharpness of the face", "", f"{RE_ENCODE}, and extract both at the same size"
    ),
}  # fmt: skip
CATEGORIES = ("codec", "compression")


def compute_properties(index: pd.DataFrame, faces: Faces | None) -> pd.DataFrame:
    """Returns the properties of every video, with NaN or None where unknown.

    Args:
        index: Index with one row per video.
        faces: Thumbnails of the crops, or None.
    """
    width, height = index["width"].astype("float64"), index["height"].astype("float64")
    length = count_frames(index)
    table = pd.DataFrame(
        {
            "length": length,
            "crops": count_crops(index),
            "duration": index["duration"].astype("float64"),
            "fps": index["fps"].astype("float64"),
            "pixels": width * height,
            "aspect": width / height,
            "bitrate": index["bitrate"].astype("float64"),
            "frame_bytes": index["bytes"].astype("float64") / length,
            "codec": index["codec"].astype(object),
            "compression": index["compression"].astype(object),
            "sharpness": index["quality"].map(_mean).astype("float64"),
        },
        index=index.index,
    )
    for name in ("brightness", "contrast", "warmth"):
        table[name] = np.nan
    if faces is not None:
        place = index.index[faces.row]
        table.loc[place, "brightness"] = faces.colour @ (0.299, 0.587, 0.114)
        table.loc[place, "contrast"] = faces.contrast
        table.loc[place, "warmth"] = faces.colour[:, 0] - faces.colour[:, 2]
    return table[list(PROPERTIES)].replace([np.inf, -np.inf], np.nan)


def measure_auc(real: np.ndarray, fake: np.ndarray) -> float:
    """Returns the AUC: the probability that a fake has the larger value; ties count half."""
    ranks = rankdata(np.concatenate([real, fake]))[len(real) :].sum()
    return float((ranks - len(fake) * (len(fake) + 1) / 2) / (len(real) * len(fake)))


def summarise_lengths(evidence: Evidence) -> dict[str, Any]:
    """Returns number, mean and standard deviation of lengths by class, and the ratio of means."""
    return summarise_frames(evidence.properties["length"], evidence.index["label"])


def tabulate(evidence: Evidence) -> list[dict[str, Any]]:
    """Returns number, mean and standard deviation of every numeric property by class and split."""
    label, splits = evidence.index["label"], evidence.index["split"]
    parts = [
        (split, kind, (splits == split) & (label == value))
        for split in sorted(set(splits))
        for value, kind in CLASSES.items()
    ]
    rows: list[dict[str, Any]] = []
    for name in PROPERTIES:
        if name in CATEGORIES or evidence.properties[name].isna().all():
            continue
        for split, kind, where in parts:
            values = _values(evidence, name, where)
            if len(values):
                rows.append(
                    {"property": name, "split": split, "class": kind, "n": len(values),
                     "mean": float(values.mean()), "sd": float(values.std())}
                )  # fmt: skip
    return rows


def lengths(evidence: Evidence) -> Iterable[Finding]:
    """Yields a finding when the videos of one class are 1.5 times as long on average.

    It is an error if the length also separates the classes (AUC above 0.75) and there are enough
    videos. The number of frames then reveals the label.
    """
    block = summarise_lengths(evidence)
    if block["ratio"] is None or block["ratio"] < LONGER:
        return
    separation, _ = _separate(evidence, "length")
    enough = min(block["real"]["n"], block["fake"]["n"]) >= ENOUGH
    message = (
        f"real videos have {block['real']['mean']:.1f} frames on average, fakes "
        f"{block['fake']['mean']:.1f} ({block['ratio']:.1f}x): {PROPERTIES['length'].remedy}"
    )
    severity = "error" if enough and separation > APART else "warning"
    yield make_finding("length_by_class", severity, message, figure="length")


def numbers(evidence: Evidence) -> Iterable[Finding]:
    """Yields a warning for each number that separates the classes (AUC above 0.75)."""
    for name, one in PROPERTIES.items():
        if name == "length" or name in CATEGORIES:
            continue
        separation, sure = _separate(evidence, name)
        if separation > APART and sure:
            message = f"{one.title} separates the classes (AUC {separation:.2f}): {one.remedy}"
            yield make_finding(f"{name}_by_class", "warning", message, figure="properties")


def categories(evidence: Evidence) -> Iterable[Finding]:
    """Yields a warning when codecs or compressions have different distributions in the classes."""
    for name in CATEGORIES:
        values = evidence.properties[name].fillna("unknown")
        table = pd.crosstab(values, evidence.index["label"], normalize="columns")
        if table.shape[1] < 2 or len(evidence.index) < ENOUGH:
            continue
        distance = float((table[REAL] - table[FAKE]).abs().sum() / 2)
        if distance > 2 * (APART - 0.5):  # the best classifier by it has an accuracy of 75 %
            shown = "; ".join(
                f"{key}: {row[REAL]:.0%} of real videos, {row[FAKE]:.0%} of fakes"
                for key, row in table.head(4).iterrows()
            )
            message = f"{PROPERTIES[name].title} differs ({shown}): {PROPERTIES[name].remedy}"
            yield make_finding(f"{name}_by_class", "warning", message)


def shifts(evidence: Evidence) -> Iterable[Finding]:
    """Yields a note when numbers separate validation or test videos from training videos."""
    train = evidence.index["split"] == "train"
    for split in PARTS[1:]:
        here = evidence.index["split"] == split
        found = []
        for name in PROPERTIES:
            if name in CATEGORIES:
                continue
            a, b = _values(evidence, name, train), _values(evidence, name, here)
            separation, sure = _compare(a, b)
            if separation > APART and sure:
                found.append(f"{PROPERTIES[name].title} (AUC {separation:.2f})")
        if found:
            message = f"{split} differs from train in {', '.join(found)}"
            yield make_finding("properties_by_split", "info", message, figure="properties")


def _separate(evidence: Evidence, name: str) -> tuple[float, bool]:
    label = evidence.index["label"]
    return _compare(_values(evidence, name, label == REAL), _values(evidence, name, label == FAKE))


def _compare(a: np.ndarray, b: np.ndarray) -> tuple[float, bool]:
    """Returns the AUC of separating a from b (at least 0.5), and whether it is significant."""
    if min(len(a), len(b)) < 2:
        return 0.5, False
    auc = measure_auc(a, b)
    error = np.sqrt((len(a) + len(b) + 1) / (12 * len(a) * len(b)))
    return max(auc, 1 - auc), bool(abs(auc - 0.5) > SURE * error)


def _values(evidence: Evidence, name: str, where: pd.Series) -> np.ndarray:
    values = evidence.properties[name][where].to_numpy(np.float64)
    return values[np.isfinite(values)]


def _mean(value: Any) -> float:
    return float(np.mean(value)) if measure_list(value) > 0 else np.nan
