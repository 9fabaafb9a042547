"""Builds the index of a data set: the rows of its adapter and the properties of its files."""

import dataclasses
import json
import os
from collections import Counter
from pathlib import Path
from typing import Any

from dfjax.console import track
from dfjax.data.faces.worker_pool import check_limits
from dfjax.data.index.adapters import AdapterFunction, find_adapter
from dfjax.data.index.adapters.listing import (
    FINDINGS,
    Listing,
    Row,
    drop_linked,
    drop_unusable,
    rename_taken,
)
from dfjax.data.index.error_log import ErrorLog
from dfjax.data.index.probing import has_clean_name, probe_rows
from dfjax.data.index.records import SPLITS, make_index, write_index
from dfjax.errors import UsageError, unknown
from dfjax.outputs import check_outputs
from dfjax.results import Result


@dataclasses.dataclass(frozen=True)
class IndexReport(Result):
    """Summary of an index and of the inputs that were left out.

    Attributes:
        index: Index file. `errors.jsonl` and `unmatched.jsonl` are in the same folder.
        videos: Number of rows.
        splits: Number of rows by split.
        methods: Number of rows by method, `real` among them.
        unreadable: Number of files that could not be read.
        problems: Number of entries that do not fit the data set, by kind.
        left_out: Number of inputs in `errors.jsonl`: those unreadable, and the problems of the
            kinds in `FINDINGS`.
        notes: Sentences for the user.
    """

    index: Path
    videos: int
    splits: dict[str, int]
    methods: dict[str, int]
    unreadable: int
    problems: dict[str, int]
    left_out: int
    notes: list[str]

    @property
    def real(self) -> int:
        """Number of real videos."""
        return self.methods.get("real", 0)

    @property
    def has_findings(self) -> bool:
        """Whether inputs were left out."""
        return self.left_out > 0

    def to_json(self) -> dict[str, Any]:
        """Returns the counts as `dfjax data index --json` prints them."""
        fakes = self.videos - self.real
        counts = {"videos": self.videos, "real": self.real, "fake": fakes}
        names = ("splits", "methods", "unreadable", "problems", "notes")
        return {"index": str(self.index)} | counts | {name: getattr(self, name) for name in names}

    def describe(self) -> list[str]:
        """Returns lines that count the videos, and the inputs that were left out."""
        methods = sorted(self.methods.items())
        lines = [
            f"{self.index}: {self.videos} videos, {self.real} real, {self.videos - self.real} fake",
            "splits:  " + ", ".join(f"{name} {n}" for name, n in self.splits.items()),
            "methods: " + ", ".join(f"{name} {n}" for name, n in methods),
        ]
        errors = self.index.parent / "errors.jsonl"
        if self.unreadable:
            lines.append(f"{self.unreadable} files could not be read and were left out: {errors}")
        for kind, n in sorted(self.problems.items()):
            file = errors if kind in FINDINGS else errors.with_name("unmatched.jsonl")
            lines.append(f"{n} {kind}: {file}")
        return lines


def build_index(
    adapter: str | AdapterFunction,
    root: str | os.PathLike[str],
    out: str | os.PathLike[str],
    *,
    default_split: str = "none",
    probe: bool = True,
    follow_links: bool | None = None,
    workers: int | None = None,
    time_limit: float = 120.0,
    command: str = "dfjax data index",
    **options: Any,
) -> IndexReport:
    """Writes the index of a data set.

    Every file is opened and hashed. In the folder of the index, `errors.jsonl` lists inputs that
    cannot be used, and `unmatched.jsonl` lists entries that are only missing a counterpart.

    Args:
        adapter: Name, import path or function of an adapter (see `dfjax.data.index.adapters`).
        root: Folder of the data set, or its CSV file.
        out: Index to write.
        default_split: Split of the videos that are in no official split.
        probe: Whether to open the files; otherwise their properties are null.
        follow_links: Whether links that lead outside of the data set are followed, not left out.
        workers: Number of processes; None is the number of cores.
        time_limit: Seconds per file, after which it counts as unreadable.
        command: Command to record in the metadata of the index.
        **options: Options of the adapter; those that are None are not passed on.

    Raises:
        UsageError: The adapter, the folder or an option does not exist, or no file can be used.
    """
    workers = check_limits(workers, time_limit)
    if default_split not in SPLITS:
        raise unknown("split", default_split, SPLITS)
    out = Path(out)
    logs = (out.parent / "errors.jsonl", out.parent / "unmatched.jsonl")
    check_outputs([out, *logs], inputs=[root, *filter(_is_path, options.values())])
    listing = list_videos(adapter, root, out.parent, options, follow_links=bool(follow_links))
    log = _log_problems(listing, out.parent)
    before = log.count
    kept = _drop_unclean(listing.rows, log)
    if probe:
        kept = _probe(kept, out.parent, log, workers=workers, time_limit=time_limit)
    if not kept:
        n = len(listing.rows)
        raise UsageError(f"none of the {n} files can be read{log.describe()}; see {log.path}")
    _complete_splits(listing, kept, default_split)
    write_index(make_index(kept), out, command=command)
    return IndexReport(
        index=out,
        videos=len(kept),
        splits=dict(Counter(row["split"] for row in kept)),
        methods=dict(Counter(row["method"] for row in kept)),
        unreadable=log.count - before,
        problems=dict(Counter(problem.kind for problem in listing.problems)),
        left_out=log.count,
        notes=[*listing.notes, *_note_restored(kept)],
    )


def _complete_splits(listing: Listing, kept: list[Row], default_split: str) -> None:
    """Sets the splits of the rows that are kept: those of the listing, or the default."""
    if listing.assign_splits and len(kept) < len(listing.rows):
        listing.assign_splits(kept)
    for row in kept:
        row["split"] = default_split if row["split"] == "none" else row["split"]


def list_videos(
    adapter: str | AdapterFunction,
    root: str | os.PathLike[str],
    folder: Path,
    options: dict[str, Any],
    *,
    follow_links: bool = False,
) -> Listing:
    """Returns the listing of an adapter for a root folder, with unique `video_id`s.

    Args:
        adapter: Name, import path or function of an adapter.
        root: Folder of the data set, or its CSV file.
        folder: Folder of the index, to which some adapters write unpacked frames.
        options: Options of the adapter; those that are None are not passed on.
        follow_links: Whether links that lead outside of the root folder are followed.

    Raises:
        UsageError: The adapter, the folder or an option does not exist, or the folder holds no
            data for the adapter.
    """
    function, names = find_adapter(adapter)
    given = {name: value for name, value in options.items() if value is not None}
    if "table" in names and "table" not in given and Path(root).is_file():
        given["table"], root = os.fspath(root), Path(root).parent
    root = Path(root)
    if not root.is_dir():
        raise UsageError(f"the folder {_text(os.fspath(root))} does not exist")
    if not has_clean_name(str(root.resolve())):
        raise UsageError(f"the folder name {_text(str(root))} is not valid UTF-8; rename it")
    for name in given:
        if name not in names or name == "out":
            takes = ", ".join(option for option in names if option != "out") or "none"
            raise UsageError(f"the adapter {adapter} has no option {name}; its options: {takes}")
    if "out" in names:
        given["out"] = folder
    listing = function(root, **given)
    notes = [*listing.notes, *rename_taken(listing.rows)]
    rows, unusable = drop_unusable(listing.rows)
    if not follow_links:
        rows, linked = drop_linked(rows, root)
        unusable += linked
    return listing._replace(rows=rows, notes=notes, problems=[*listing.problems, *unusable])


def _log_problems(listing: Listing, folder: Path) -> ErrorLog:
    """Writes the problems to `errors.jsonl` and `unmatched.jsonl`; returns the log of errors."""
    errors, unmatched = ErrorLog(folder / "errors.jsonl"), ErrorLog(folder / "unmatched.jsonl")
    for kind, video_id, path, error in listing.problems:
        (errors if kind in FINDINGS else unmatched).add(
            video_id=_text(video_id), path=_text(path), stage="index", error=f"{kind}: {error}"
        )
    return errors


def _drop_unclean(rows: list[Row], log: ErrorLog) -> list[Row]:
    """Returns the rows whose names are valid Unicode, and logs the others."""
    clean = []
    for row in rows:
        if has_clean_name(json.dumps(row, ensure_ascii=False)):
            clean.append(row)
            continue
        reason = "the file name or an id is not valid UTF-8; rename it"
        video_id, path = _text(row["video_id"]), _text(row["path"])
        log.add(video_id=video_id, path=path, stage="index", error=reason)
    return clean


def _probe(
    rows: list[Row], folder: Path, log: ErrorLog, *, workers: int, time_limit: float
) -> list[Row]:
    """Fills in the properties of the files; returns the rows whose files can be read."""
    failed: dict[int, str] = {}
    outcomes = probe_rows(rows, folder, workers=workers, time_limit=time_limit)
    for outcome in track(outcomes, total=len(rows), what="videos"):
        if outcome.error is None:
            row = rows[outcome.position]
            row |= {name: v for name, v in outcome.value.items() if row.get(name) is None}
        else:
            failed[outcome.position] = outcome.error
    for position, error in sorted(failed.items()):
        row = rows[position]
        log.add(video_id=row["video_id"], path=row["path"], stage="probe", error=error)
    lost = {rows[position]["video_id"] for position in failed}
    kept = [row for row in rows if row["video_id"] not in lost]
    for row in kept:
        row["pair_id"] = None if row["pair_id"] in lost else row["pair_id"]
    return kept


def _note_restored(rows: list[Row]) -> list[str]:
    marked = sum(bool(row.get("restored")) for row in rows)
    note = f"{marked} videos are marked as restored by a model (column restored)"
    return [note] if marked else []


def _text(name: str) -> str:
    """Returns a name with invalid Unicode escaped, for JSON."""
    return name.encode(errors="backslashreplace").decode()


def _is_path(value: Any) -> bool:
    return isinstance(value, str | Path)
