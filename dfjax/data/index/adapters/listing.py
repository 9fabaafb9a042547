"""What an adapter returns, and the problems it met: nothing is left out silently."""

from collections.abc import Callable
from typing import Any, NamedTuple

from dfjax.data.index.records import names_folder

Row = dict[str, Any]

ABSENT = "absent"  # a list of the data set names it, the folder lacks it
UNLABELLED = "unlabelled"  # it is there, but nothing says whether it is real: left out
REFUSED = "refused"  # its entry is unsafe or makes no sense: left out
CONFLICT = "conflict"  # two sources disagree about it: kept as the folder says
UNLISTED = "unlisted"  # it is there and its label is known, but no list names it: split none
PARTIAL = "partial"  # the official splits name it, but not all of the data set was downloaded

FINDINGS = (ABSENT, UNLABELLED, REFUSED, CONFLICT)
"""Kinds of problems that are errors; the others are facts worth a look."""


class Problem(NamedTuple):
    """One entry or file that does not fit, for `errors.jsonl` or `unmatched.jsonl`."""

    kind: str
    video_id: str
    path: str
    error: str


class Listing(NamedTuple):
    """A data set as found on disk.

    Attributes:
        rows: made by `records.make_record`, unique in `video_id`.
        notes: sentences for the user.
        problems: one each for what could not be taken as the data set says.
        assign_splits: sets the splits of the rows where the data set has none of its own; called
            again with the rows that are left when files turn out to be unreadable.
    """

    rows: list[Row]
    notes: list[str]
    problems: list[Problem]
    assign_splits: Callable[[list[Row]], None] | None = None


def keep_pairs(rows: list[Row]) -> list[str]:
    """Clears each `pair_id` that names no row; returns the fakes that thereby lost their real."""
    present = {row["video_id"] for row in rows}
    alone = [row for row in rows if row["pair_id"] is not None and row["pair_id"] not in present]
    for row in alone:
        row["pair_id"] = None
    return [row["video_id"] for row in alone]


def drop_unusable(rows: list[Row]) -> tuple[list[Row], list[Problem]]:
    """Returns the rows whose `video_id` is new and safe, and a problem for each of the others."""
    kept: dict[str, Row] = {}
    problems = []
    for row in rows:
        if not names_folder(row["video_id"]):
            reason = "its video_id leads outside of the folder that it is to name"
            problems.append(Problem(REFUSED, row["video_id"], row["path"], reason))
            continue
        first = kept.setdefault(row["video_id"], row)
        if first is not row:
            reason = f"has the video_id of {first['path']}, which is kept"
            problems.append(Problem(REFUSED, row["video_id"], row["path"], reason))
    return list(kept.values()), problems


def shorten(names: list[str]) -> str:
    """Returns the first names, and how many more there are."""
    more = f" and {len(names) - 5} more" if len(names) > 5 else ""
    return ", ".join(names[:5]) + more
