"""Defines the result of an adapter: rows, notes, and a problem for everything left out."""

from collections.abc import Callable
from typing import Any, NamedTuple

from dfjax.data.index.records import names_folder, reserve_names

Row = dict[str, Any]

ABSENT = "absent"  # a list of the data set names a file that does not exist
UNLABELLED = "unlabelled"  # the label of a file is unknown: left out
REFUSED = "refused"  # an entry is unsafe or invalid: left out
CONFLICT = "conflict"  # list and folder disagree on the label: the folder's is kept
UNLISTED = "unlisted"  # a labelled file is not in the lists of splits: split none
PARTIAL = "partial"  # the official splits name a video that was not downloaded

FINDINGS = (ABSENT, UNLABELLED, REFUSED, CONFLICT)
"""Kinds of problems that are errors. The others are notes."""


class Problem(NamedTuple):
    """One entry or file that does not fit, a line of `errors.jsonl` or `unmatched.jsonl`."""

    kind: str
    video_id: str
    path: str
    error: str


class Listing(NamedTuple):
    """A data set as found on disk.

    Attributes:
        rows: Rows made by `records.make_record`, with unique `video_id`s.
        notes: Sentences for the user.
        problems: Entries and files that do not fit the description of the data set.
        assign_splits: Function that sets the splits of rows, for data sets without official splits.
            It is called again with the remaining rows if some files are unreadable.
    """

    rows: list[Row]
    notes: list[str]
    problems: list[Problem]
    assign_splits: Callable[[list[Row]], None] | None = None


def keep_pairs(rows: list[Row]) -> list[str]:
    """Clears every `pair_id` that names no row; returns the `video_id`s of these fakes."""
    present = {row["video_id"] for row in rows}
    alone = [row for row in rows if row["pair_id"] is not None and row["pair_id"] not in present]
    for row in alone:
        row["pair_id"] = None
    return [row["video_id"] for row in alone]


def rename_taken(rows: list[Row]) -> list[str]:
    """Changes ids that extraction needs for faces or files (see `reserve_names`); returns notes."""
    names = {row["video_id"]: reserve_names(row["video_id"]) for row in rows}
    changed = [name for name, new in names.items() if new != name]
    for row in rows if changed else ():
        for column in ("video_id", "pair_id", "group"):
            row[column] = names.get(row[column], row[column])
    if not changed:
        return []
    return [
        f"{len(changed)} video_ids look like names that extraction gives to faces or files and got "
        f"an underscore: {shorten(changed)}"
    ]


def drop_unusable(rows: list[Row]) -> tuple[list[Row], list[Problem]]:
    """Returns the rows with a unique and safe `video_id`, and a problem for each other row."""
    kept: dict[str, Row] = {}
    problems = []
    for row in rows:
        if not names_folder(row["video_id"]):
            reason = "its video_id leads outside of the output folder"
            problems.append(Problem(REFUSED, row["video_id"], row["path"], reason))
            continue
        first = kept.setdefault(row["video_id"], row)
        if first is not row:
            reason = f"has the same video_id as {first['path']}, which is kept"
            problems.append(Problem(REFUSED, row["video_id"], row["path"], reason))
    return list(kept.values()), problems


def shorten(names: list[str]) -> str:
    """Returns the first five names and the number of the others, as text."""
    more = f" and {len(names) - 5} more" if len(names) > 5 else ""
    return ", ".join(names[:5]) + more
