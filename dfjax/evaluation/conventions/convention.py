"""Conventions by which one table of scores gives different numbers.

A `Convention` says which rows are used, how failed rows count, which rows are one video, and which
metric is computed of what. Published tables differ in these choices; `strict` and DeepfakeBench's
protocol are two sets of them (`benchmark_protocol`), `scored_rows` computes the number of any, and
`gap` explains the difference of two.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

from dfjax.errors import UsageError, unknown

METRICS = ("auc", "ap", "eer", "accuracy")
UNITS = ("video", "frame")
FAILED = ("drop", "half", "first")
POOLED = {"": True, "yes": True, "no": False}
CHOICES: dict[str, tuple[Any, ...]] = {
    "metric": METRICS,
    "unit": UNITS,
    "failed": FAILED,
    "eer": ("interp", "nearest"),
    "chosen": ("val", "test"),
    "half": ("fake", "real"),
    "repeated": ("drop", "keep"),
}


@dataclass(frozen=True)
class Convention:
    """The choices behind one number.

    Attributes:
        metric: `auc`, `ap`, `eer` or `accuracy`.
        unit: `video`, whose score is the mean over the rows of its coarsest unit, or `frame`, each
            row of the table's finest unit by itself.
        first: Number of positions of each video that are used, the lowest ones; None for all.
        pooled: Whether videos of one data set with one folder name are one video.
        failed: What a row without a score counts as: `drop` leaves it out, `half` gives it 0.5, and
            `first` gives it the score and the label of the first row of its data set.
        eer: `interp` (FPR = FNR on the interpolated ROC curve) or `nearest` (FPR at the threshold
            where they are closest, see `weighted.eer_nearest`).
        chosen: What a checkpoint is chosen by: `val`, the video AUC of the strict protocol on that
            split, or `test`, this number itself. Of no effect with one column of scores.
        half: What a score of exactly 0.5 is called by the accuracy.
        repeated: Whether rows that repeat a key are left out (`drop`) or counted (`keep`).
    """

    metric: str = "auc"
    unit: str = "video"
    first: int | None = None
    pooled: bool = False
    failed: str = "drop"
    eer: str = "interp"
    chosen: str = "val"
    half: str = "fake"
    repeated: str = "drop"

    def __post_init__(self) -> None:
        """Checks that every choice exists."""
        for name, valid in CHOICES.items():
            if getattr(self, name) not in valid:
                raise unknown(name, str(getattr(self, name)), valid)
        if self.first is not None and self.first < 1:
            raise UsageError(f"first must be at least 1, not {self.first}")


def parse_convention(text: str) -> Convention:
    """Returns the convention of a text such as `video_eer:pooled,first=32,eer=nearest`.

    Args:
        text: `UNIT_METRIC`, and after a colon the other choices; `pooled` is `pooled=yes`.

    Raises:
        UsageError: A choice is unknown.
    """
    head, _, rest = text.partition(":")
    unit, _, metric = head.partition("_")
    choices: dict[str, Any] = {"unit": unit, "metric": metric}
    known = [one.name for one in fields(Convention)]
    for part in filter(None, (piece.strip() for piece in rest.split(","))):
        name, equals, value = part.partition("=")
        if name not in known:
            raise unknown("choice", name, known)
        if name == "pooled":
            if value not in POOLED:
                raise unknown("value of pooled", value, [one for one in POOLED if one])
            choices[name] = POOLED[value]
        elif name == "first":
            if not value.isdigit():
                raise UsageError(f"first needs a number of frames, as first=32, not {part}")
            choices[name] = int(value)
        elif not equals:
            raise UsageError(f"{name} needs a value, as {name}={CHOICES[name][0]}")
        else:
            choices[name] = value
    return Convention(**choices)


def describe_convention(convention: Convention) -> str:
    """Returns the text that `parse_convention` reads, without choices that are the default."""
    default = Convention()
    parts = []
    for one in fields(Convention):
        value = getattr(convention, one.name)
        if one.name in ("metric", "unit") or value == getattr(default, one.name):
            continue
        parts.append("pooled" if one.name == "pooled" else f"{one.name}={value}")
    head = f"{convention.unit}_{convention.metric}"
    return f"{head}:{','.join(parts)}" if parts else head
