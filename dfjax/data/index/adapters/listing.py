"""Defines the result of an adapter: rows, notes, and a problem for everything left out."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from dfjax.data.index.video_ids import names_folder, reserve_names

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


def drop_linked(rows: list[Row], root: Path) -> tuple[list[Row], list[Problem]]:
    """Returns the rows whose files are in the folder `root`, and a problem for each other row.

    A symbolic link could otherwise add files to a data set that are not of it.
    """
    place = os.path.realpath(root)
    folders: dict[str, str] = {}
    kept, problems = [], []
    for row in rows:
        named = (row["path"], row.get("mask_path"), row["frames_dir"])
        paths = [os.path.join(row["root"] or "", path) for path in named if path]
        if any(_leaves(path, place, folders) for path in paths):
            reason = "a symbolic link leads outside of the data set; follow_links reads it"
            problems.append(Problem(REFUSED, row["video_id"], row["path"], reason))
        else:
            kept.append(row)
    return kept, problems


def _leaves(path: str, place: str, folders: dict[str, str]) -> bool:
    """Returns whether a path inside of `place` leads out of it; `folders` holds known ones."""
    if not _is_inside(path, place):  # unpacked to another folder, or refused elsewhere
        return False
    parent, name = os.path.split(path)
    real = os.path.join(folders.setdefault(parent, os.path.realpath(parent)), name)
    real = os.path.realpath(real) if os.path.islink(real) else real
    if not _is_inside(real, place):
        return True
    entries = os.scandir(real) if os.path.isdir(real) else ()  # the frames of a video
    return any(e.is_symlink() and not _is_inside(os.path.realpath(e.path), place) for e in entries)


def _is_inside(path: str, place: str) -> bool:
    return path == place or path.startswith(place.rstrip(os.sep) + os.sep)


def shorten(names: list[str]) -> str:
    """Returns the first five names and the number of the others, as text."""
    more = f" and {len(names) - 5} more" if len(names) > 5 else ""
    return ", ".join(names[:5]) + more
