"""What an audit says: findings of one shape, and what its rules may look at."""

import dataclasses
from collections.abc import Callable, Iterable
from typing import TypedDict

import pandas as pd

from dfjax.data.index.audit.faces import Faces

SEVERITIES = ("error", "warning", "info")
ENOUGH = 40
"""Videos per class from which differences are errors and the shortcut probe runs."""


class Finding(TypedDict):
    """One thing to know about a data set.

    `ids` are the videos concerned; `figure` is the name of the plot in the report that shows it, or
    None.
    """

    code: str
    severity: str
    message: str
    ids: list[str]
    figure: str | None


@dataclasses.dataclass(frozen=True)
class Evidence:
    """All that rules may look at.

    Attributes:
        index: one row per video, probed where its files could be.
        properties: numbers and categories per row of `index` (`properties.describe`).
        faces: small pictures of the face crops, or None where there are none.
        problems: files that are missing or damaged, as findings to be.
    """

    index: pd.DataFrame
    properties: pd.DataFrame
    faces: Faces | None
    problems: list["Problem"]


Rule = Callable[[Evidence], Iterable[Finding]]
"""Evidence in, findings out, or none."""


@dataclasses.dataclass(frozen=True)
class Problem:
    """One file that cannot be used, and the code of the finding it belongs to."""

    code: str
    video_id: str
    reason: str


def make_finding(
    code: str, severity: str, message: str, ids: Iterable[str] = (), *, figure: str | None = None
) -> Finding:
    """Returns a finding, its ids sorted and each once."""
    return Finding(
        code=code, severity=severity, message=message, ids=sorted(set(ids)), figure=figure
    )


def name_some(names: Iterable[object], limit: int = 3) -> str:
    """Returns the first few names and how many more there are."""
    texts = [str(name) for name in names]
    shown = ", ".join(texts[:limit])
    return shown if len(texts) <= limit else f"{shown} and {len(texts) - limit} more"
