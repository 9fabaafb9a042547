"""Defines the findings of an audit and the evidence that its rules read."""

import dataclasses
from collections.abc import Callable, Iterable
from typing import TypedDict

import pandas as pd

from dfjax.data.index.audit.faces import Faces

SEVERITIES = ("error", "warning", "info")
ENOUGH = 40
"""Least number of videos per class for a difference to be an error and for the shortcut probe."""


class Finding(TypedDict):
    """One finding about a data set.

    Attributes:
        code: Name of the kind of finding.
        severity: `error`, `warning` or `info`.
        message: Sentence for the user, with the remedy.
        ids: Identifiers of the videos concerned.
        figure: Name of the plot in the report that shows the finding, or None.
    """

    code: str
    severity: str
    message: str
    ids: list[str]
    figure: str | None


@dataclasses.dataclass(frozen=True)
class Evidence:
    """Input of the audit's rules.

    Attributes:
        index: Index with one row per video, including the results of probing the files.
        properties: Properties of the videos, row by row (see `properties.compute_properties`).
        faces: Thumbnails of some face crops per video, or None if there are no crops.
        problems: Missing or damaged files.
    """

    index: pd.DataFrame
    properties: pd.DataFrame
    faces: Faces | None
    problems: list["Problem"]


Rule = Callable[[Evidence], Iterable[Finding]]
"""Function from the evidence to any number of findings."""


@dataclasses.dataclass(frozen=True)
class Problem:
    """One file that cannot be used, with the code of the finding that reports it."""

    code: str
    video_id: str
    reason: str


def make_finding(
    code: str, severity: str, message: str, ids: Iterable[str] = (), *, figure: str | None = None
) -> Finding:
    """Returns a finding whose ids are sorted and unique."""
    return Finding(
        code=code, severity=severity, message=message, ids=sorted(set(ids)), figure=figure
    )


def name_some(names: Iterable[object], limit: int = 3) -> str:
    """Returns the first `limit` names and the number of the others, as text."""
    texts = [str(name) for name in names]
    shown = ", ".join(texts[:limit])
    return shown if len(texts) <= limit else f"{shown} and {len(texts) - limit} more"
