"""DeepfakeBench's processed data sets (Yan et al. 2023): JSON files and the face crops they name.

The JSON files lie in `preprocessing/dataset_json/`, `dataset_json/` or the root, the crops in
`datasets/rgb/`, `rgb/` or the root, or as LMDB files in `datasets/lmdb/`, `lmdb/` or the root.
An export of `dfjax data export` gives the rows of the original index.
"""

import errno
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa

from dfjax import FAKE, REAL
from dfjax.data.index.adapters.deepfakebench_frames import FrameFinder
from dfjax.data.index.adapters.deepfakebench_names import parse_name
from dfjax.data.index.adapters.ffpp import connect
from dfjax.data.index.adapters.foreign import read_json, safe_path
from dfjax.data.index.adapters.listing import (
    ABSENT,
    REFUSED,
    Listing,
    Problem,
    Row,
    keep_pairs,
    shorten,
)
from dfjax.data.index.records import COLUMNS, SCHEMA, make_record
from dfjax.errors import InputError, UsageError

PLACES = ("preprocessing/dataset_json", "dataset_json", "")
SPLITS = ("train", "val", "test")
OURS = "dfjax"  # key of a video under which `dfjax data export` stores the row of the index


class Entry(NamedTuple):
    """One video of a JSON file."""

    dataset: str
    class_name: str
    split: str
    compression: str | None
    video: str
    content: dict[str, Any]


def list_deepfakebench(root: Path, *, out: Path, table: str | None = None) -> Listing:
    """Returns the rows of DeepfakeBench's JSON files with their face crops, ready for `data pack`.

    A video that occurs in several files gives one row. DeepfakeBench validates on test videos and
    puts the videos of data sets without a split into all three splits. Videos in val and test
    therefore become test videos, and videos in train and another split get the split none. Notes
    count these.

    Args:
        root: Folder with JSON files and crops, such as a checkout of DeepfakeBench.
        out: Folder of the index. Crops in LMDB files are written below it.
        table: A JSON file or a folder of JSON files. The default are those in DeepfakeBench's
            layout.

    Raises:
        UsageError: There are no such files, they are damaged, or none of their videos is usable.
    """
    finder = FrameFinder(root, out)
    rows: dict[str, Row] = {}
    splits: dict[str, set[str]] = {}
    problems: list[Problem] = []
    for file in _find_tables(root, table):
        for entry in _read_entries(file, problems):
            name = f"{entry.dataset}/{entry.class_name}/{entry.video}"
            try:
                fields = _describe(entry)
                video_id = fields["video_id"]
                if video_id not in rows:
                    rows[video_id] = _make_row(root, fields, entry, finder, problems)
                splits.setdefault(video_id, set()).add(entry.split)
            except FileNotFoundError as error:
                problems.append(Problem(ABSENT, name, file.name, str(error)))
            except OSError as error:
                if error.errno != errno.ENAMETOOLONG:
                    raise
                problems.append(Problem(REFUSED, name, file.name, "its path is too long"))
            except (InputError, ValueError) as error:
                problems.append(Problem(REFUSED, name, file.name, str(error)))
    if not rows:
        raise UsageError(
            f"none of the videos that the JSON files of {root} name can be used: "
            f"{problems[0].error if problems else 'they name none'}"
        )
    listed = sorted(rows.values(), key=lambda row: -1 if row[OURS] is None else row[OURS])
    notes = _settle_splits(listed, splits)
    _group(listed)
    alone = keep_pairs([row for row in listed if row.pop(OURS) is None])
    notes += [f"{len(alone)} fakes have no real video here: {shorten(alone)}"] if alone else []
    return Listing(listed, notes, _once(problems))


def list_frames(file: Path) -> Iterator[tuple[dict[str, Any], str, list[str]]]:
    """Yields the fields of the record, the split and the frames of each usable video of a file.

    Args:
        file: JSON file of DeepfakeBench.
    """
    for entry in _read_entries(file, []):
        frames = entry.content["frames"]
        if isinstance(frames, list):
            try:
                yield _describe(entry), entry.split, [str(frame) for frame in frames]
            except (InputError, ValueError):
                continue


def _find_tables(root: Path, table: str | None) -> list[Path]:
    if table is not None:
        given = Path(table)
        files = sorted(given.glob("*.json")) if given.is_dir() else [given]
    else:
        files = [file for place in PLACES for file in sorted((root / place).glob("*.json"))]
        files = [file for file in files if _is_table(file)]
    if not files:
        where = table or ", ".join(f"{root / place}" for place in PLACES)
        raise UsageError(f"no JSON files of DeepfakeBench in {where}; set table to another place")
    return files


def _is_table(file: Path) -> bool:
    """Returns whether a JSON file has DeepfakeBench's levels, unlike FaceForensics++'s splits."""
    try:
        content = read_json(file)
    except UsageError:
        return False
    classes = [c for c in content.values() if isinstance(c, dict)]
    levels = [s for c in classes for s in c.values() if isinstance(s, dict)]
    return bool(levels) and all(set(level) & set(SPLITS) for level in levels)


def _read_entries(file: Path, problems: list[Problem]) -> Iterator[Entry]:
    """Yields the videos of a file, and adds entries that are not videos to the problems."""
    for dataset, classes in read_json(file).items():
        for class_name, by_split in _items(classes):
            for split, videos in _items(by_split):
                for compression, video, content in _flatten(videos):
                    if split in SPLITS and isinstance(content, dict) and "frames" in content:
                        yield Entry(dataset, class_name, split, compression, video, content)
                    else:
                        place = f"{dataset}/{class_name}/{split}/{video}"
                        problems.append(Problem(REFUSED, place, file.name, "is not a video"))


def _flatten(videos: Any) -> Iterator[tuple[str | None, str, Any]]:
    """Yields the compression (or None), the name and the content of videos."""
    for name, content in _items(videos):
        if isinstance(content, dict) and "frames" not in content:
            yield from ((name, video, inner) for video, inner in content.items())
        else:
            yield None, name, content


def _items(level: Any) -> Iterator[tuple[str, Any]]:
    yield from level.items() if isinstance(level, dict) else ()


def _describe(entry: Entry) -> dict[str, Any]:
    if OURS in entry.content:
        return _read_ours(entry.content[OURS])
    frames = entry.content["frames"]
    first = str(frames[0]).replace("\\", "/") if isinstance(frames, list) and frames else ""
    class_name = entry.content.get("label", entry.class_name)
    name = entry.class_name if isinstance(class_name, int) else str(class_name)
    video = safe_path(entry.video)
    return parse_name(entry.dataset, name, entry.compression, video, first)


def _read_ours(kept: Any) -> dict[str, Any]:
    """Returns the row of the index that `dfjax data export` has stored in a video's entry.

    Raises:
        InputError: The entry is not a valid row.
    """
    row = kept.get("row") if isinstance(kept, dict) else None
    if not isinstance(row, dict) or not isinstance(kept.get("position"), int):
        raise InputError(f"its entry {OURS!r} is not a row of an index")
    more = {name: value for name, value in row.items() if name not in COLUMNS}
    try:
        known = make_record(**{name: value for name, value in row.items() if name in COLUMNS})
        pa.RecordBatch.from_pylist([known], SCHEMA)
    except (pa.ArrowException, TypeError, ValueError) as error:
        raise InputError(f"its entry {OURS!r} is not a row of an index: {error}") from error
    safe_path(known["video_id"])
    if known["label"] not in (REAL, FAKE) or known["split"] not in (*SPLITS, "none"):
        raise InputError(f"its entry {OURS!r} has an invalid label or split")
    return known | more


def _make_row(
    root: Path, fields: dict[str, Any], entry: Entry, finder: FrameFinder, problems: list[Problem]
) -> Row:
    frames = entry.content["frames"]
    if not isinstance(frames, list):
        raise InputError("its frames are not a list")
    columns, absent = finder.find(fields["video_id"], entry.dataset, frames)
    if absent:
        reason = f"{absent} of its {len(frames)} frames are missing"
        problems.append(Problem(ABSENT, fields["video_id"], columns["frames_dir"], reason))
    if OURS in entry.content:
        return fields | {"frame_names": None} | columns | {OURS: entry.content[OURS]["position"]}
    place = Path(columns["frames_dir"])
    base = root.resolve()
    path = place.relative_to(base).as_posix() if place.is_relative_to(base) else str(place)
    known = base if place.is_absolute() else finder.out
    return make_record(**fields, root=str(known), path=path, **columns) | {OURS: None}


def _settle_splits(rows: list[Row], splits: dict[str, set[str]]) -> list[str]:
    counts: Counter[str] = Counter()
    for row in rows:
        found = splits[row["video_id"]]
        if row[OURS] is None:
            row["split"] = _settle(found)
            counts[" and ".join(s for s in SPLITS if s in found)] += len(found) > 1
    return [
        f"{n} videos are in {found}: their split is now {_settle(set(found.split(' and ')))}"
        for found, n in sorted(counts.items())
        if n
    ]


def _settle(found: set[str]) -> str:
    if len(found) == 1:
        return next(iter(found))
    return "none" if "train" in found else "test"


def _group(rows: list[Row]) -> None:
    """Sets the group of FaceForensics++ videos: sequences that are connected by fakes."""
    ours = [row for row in rows if row["dataset"] == "ffpp" and row["target_id"]]
    ours = [row for row in ours if row[OURS] is None]
    pairs = [(row["target_id"], donor) for row in ours for donor in row["donor_ids"]]
    groups = connect(pairs)
    for row in ours:
        row["group"] = f"ffpp/{groups.get(row['target_id'], row['target_id'])}"


def _once(problems: list[Problem]) -> list[Problem]:
    """Returns problems without repetitions from videos in several files or splits."""
    return list({(p.video_id, p.error): p for p in problems}.values())
