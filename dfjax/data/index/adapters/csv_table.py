"""Reads a CSV file that lists videos: `path,label` and optional further columns."""

import errno
import os
from collections import Counter, defaultdict
from pathlib import Path, PurePosixPath
from typing import Any

from dfjax import FAKE, REAL
from dfjax.data.faces.media_files import is_media
from dfjax.data.index.adapters.foreign import safe_path
from dfjax.data.index.adapters.frame_folders import describe_frames, find_frame_folders
from dfjax.data.index.adapters.listing import (
    ABSENT,
    REFUSED,
    Listing,
    Problem,
    Row,
    shorten,
)
from dfjax.data.index.error_log import count_reasons
from dfjax.data.index.records import make_record
from dfjax.errors import InputError, UsageError
from dfjax.text_tables import find_format, match_columns, read_rows

LABELS = {"0": REAL, "real": REAL, "1": FAKE, "fake": FAKE}
SPLITS = {
    **{name: name for name in ("train", "val", "test", "none")},
    **{"": "none", "training": "train", "validation": "val", "valid": "val", "testing": "test"},
}
TEXTS = (
    *("video_id", "dataset", "method", "target_id", "origin_id", "group", "pair_id"),
    *("compression", "mask_path"),
)
LISTS = ("donor_ids", "identities")  # separated by semicolons
KNOWN = ("path", "label", "split", *TEXTS, *LISTS)


def list_csv(root: Path, *, table: str | None = None, dataset: str | None = None) -> Listing:
    """Returns the rows of a CSV file with the columns `path` and `label`.

    `label` is 0, 1, real or fake. The optional columns are those of the index: `video_id dataset
    method split target_id donor_ids identities origin_id group pair_id compression mask_path`, with
    the entries of lists separated by semicolons. Other columns are ignored. A path to a folder is a
    video of face crops. `pair_id` is the `video_id` of the real video, its path, or the stem of its
    file name.

    Args:
        root: Folder that paths are relative to. Absolute paths must lie below it.
        table: CSV file. The default is the only .csv file in `root`.
        dataset: Name of the data set for rows without one. The default is the file's name.

    Raises:
        UsageError: The file does not exist, lacks a required column, or has no usable row.
    """
    file = _find_table(root, table)
    rows, problems = [], []
    form = find_format(file)
    names = match_columns(form.columns, KNOWN, name=str(file))
    if not {"path", "label"} <= set(names):
        shown = ", ".join(names)[:200]
        raise UsageError(f"{file} needs the columns path and label; it has {shown}")
    bases = (root.resolve(), root.absolute())
    for number, entry in read_rows(file, form, names):
        where = str(entry.get("path") or "")
        try:
            rows.append(_make_row(bases, entry, dataset or file.stem))
        except FileNotFoundError as error:
            reason = f"line {number} of {file.name}: the file is missing ({error.filename})"
            problems.append(Problem(ABSENT, where, where, reason))
        except InputError as error:
            problems.append(
                Problem(REFUSED, where, where, f"line {number} of {file.name}: {error}")
            )
    if not rows:
        reasons = count_reasons(problem.error.partition(": ")[2] for problem in problems)
        raise UsageError(
            f"none of the {len(problems)} rows of {file} can be used with root {root} ({reasons})"
        )
    rows = _name_apart(rows)
    notes = [f"{file.name} has no column split: all videos are in the split none"]
    notes = [] if "split" in names else notes
    notes += [form.note] if form.note else []
    aside = [name for name in names if name not in KNOWN]
    if aside:
        notes.append(f"ignored columns: {', '.join(aside)}")
    return Listing(rows, notes + _resolve_pairs(rows, bases), problems)


def _find_table(root: Path, table: str | None) -> Path:
    files = [Path(table)] if table else sorted(root.glob("*.csv"))
    if len(files) != 1:
        raise UsageError(f"{root} holds {len(files)} .csv files; set table to one of them")
    if not files[0].is_file():
        raise UsageError(f"the table {files[0]} does not exist")
    return files[0]


def _make_row(bases: tuple[Path, Path], entry: dict[str, Any], dataset: str) -> Row:
    if None in entry:
        raise InputError("it has more fields than the header")
    values = {name: str(entry.get(name) or "").strip() for name in KNOWN}
    base = bases[0]
    path = _make_relative(values["path"], bases)
    if values["mask_path"]:
        values["mask_path"] = _make_relative(values["mask_path"], bases)
    label = values["label"].casefold()
    if label not in LABELS:
        raise InputError(f"the label is {values['label']!r}, not 0, 1, real or fake")
    split = SPLITS.get(values["split"].casefold())
    if split is None:
        raise InputError(f"the split is {values['split']!r}, not train, val, test or none")
    fields: dict[str, Any] = {name: values[name] or None for name in TEXTS}
    for name in LISTS:
        parts = [part.strip() for part in values[name].split(";") if part.strip()]
        fields[name] = parts or None
    fields["dataset"] = fields["dataset"] or dataset
    stem = str(PurePosixPath(path).with_suffix("")) if is_media(path) else path
    fields["video_id"] = fields["video_id"] or f"{fields['dataset']}/{stem}"
    if LABELS[label] == FAKE:
        if fields["method"] == "real":
            raise InputError("a fake cannot have the method 'real'")
        fields["method"] = fields["method"] or "fake"
    elif fields["method"] not in (None, "real"):
        raise InputError(f"a real video cannot have the method {fields['method']!r}")
    row = fields | {"label": LABELS[label], "split": split, "root": str(base), "path": path}
    return make_record(**row, **_frames(base / path))


def _frames(place: Path) -> dict[str, Any]:
    if place.is_dir():
        images = find_frame_folders(place).get(".", [])
        if not images:
            raise InputError("is a folder without images")
        return describe_frames(place.resolve(), images)
    if not place.exists():
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(place))
    return {}


def _make_relative(path: str, bases: tuple[Path, Path]) -> str:
    """Returns a relative or absolute path of the table as a path relative to the root.

    Args:
        path: Entry of the table.
        bases: The root with links resolved, and as given.
    """
    for base in bases:
        if path.startswith("/") and PurePosixPath(path).is_relative_to(base):
            return safe_path(str(PurePosixPath(path).relative_to(base)))
    return safe_path(path)


def _resolve_pairs(rows: list[Row], bases: tuple[Path, Path]) -> list[str]:
    """Replaces each `pair_id` that is a path or a file's stem by the real video's `video_id`.

    Values that name no video, or several, are kept, because videos with the same `pair_id` still
    belong together. The returned notes count them.

    Args:
        rows: Rows of the table, which are changed.
        bases: The root with links resolved, and as given.
    """
    ids = {row["video_id"] for row in rows}
    named: dict[str, set[str]] = {}
    for row in rows:
        if row["label"] == REAL:
            path = PurePosixPath(row["path"])
            for name in {str(path), str(path.with_suffix("")), path.name, path.stem}:
                named.setdefault(name, set()).add(row["video_id"])
    lost = defaultdict[str, list[str]](list)
    for row in rows:
        pair = row["pair_id"]
        if pair is None or pair in ids:
            continue
        found = named.get(_shorten_path(pair, bases), set())
        if len(found) == 1:
            (row["pair_id"],) = found
        else:
            lost["several real videos" if found else "no real video"].append(pair)
    return [
        f"{len(pairs)} rows have a pair_id that names {what} of the table: "
        f"{shorten(list(dict.fromkeys(pairs)))}"
        for what, pairs in lost.items()
    ]


def _shorten_path(pair: str, bases: tuple[Path, Path]) -> str:
    """Returns an absolute path below the root as a relative one, and other text as it is."""
    try:
        return _make_relative(pair, bases) if pair.startswith("/") else pair
    except InputError:  # outside the root: it names no video
        return pair


def _name_apart(rows: list[Row]) -> list[Row]:
    """Adds the file suffix to default ids that are not unique, as of a.mp4 and a.avi."""
    counts = Counter(row["video_id"] for row in rows)
    for row in rows:
        made = f"{row['dataset']}/{PurePosixPath(row['path']).with_suffix('')}"
        if counts[row["video_id"]] > 1 and row["video_id"] == made:
            if row["group"] == row["video_id"]:
                row["group"] = f"{row['dataset']}/{row['path']}"
            row["video_id"] = f"{row['dataset']}/{row['path']}"
    return rows
