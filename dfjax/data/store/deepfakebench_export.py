"""Exports an index and its face crops in the format of DeepfakeBench (Yan et al. 2023).

The crops are written to `OUT/datasets/rgb/DATASET/…/frames/VIDEO/%03d.png` and the lists of them to
`OUT/preprocessing/dataset_json/DATASET.json`, the paths at which DeepfakeBench's loader looks for
them in its checkout. Paths in the lists start with `./`, because the loader prepends a folder and a
backslash to all other paths, which is a separator on Windows only. The entry of a video also stores
its row of the index under the key `dfjax`, which DeepfakeBench ignores.
"""

import dataclasses
import json
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path, PurePosixPath
from typing import Any

import cv2

from dfjax import REAL
from dfjax.console import track
from dfjax.data.faces.crop_codec import decode_image
from dfjax.data.index.adapters.deepfakebench import OURS, SPLITS
from dfjax.data.index.adapters.deepfakebench_names import NAMES, NESTED, Names, find_names
from dfjax.data.index.adapters.foreign import safe_path
from dfjax.data.index.records import read_index
from dfjax.data.store.pack_builder import frame_paths
from dfjax.data.store.pack_reader import MANIFEST
from dfjax.errors import InputError, UsageError
from dfjax.files import atomic_path
from dfjax.outputs import MARK, check_folder, check_inside, mark_folder
from dfjax.results import Result

RGB = "datasets/rgb"
TABLES = "preprocessing/dataset_json"
METHOD_TABLES = ("FF-DF", "FF-F2F", "FF-FS", "FF-NT")  # methods of FF++ with a file of their own
FF_TOPS = {"youtube": "original_sequences", "actors": "original_sequences"}
THREADS = 4  # PNG encoding takes most of the time and releases the interpreter lock

Tables = dict[str, dict[str, dict[str, Any]]]


@dataclasses.dataclass(frozen=True)
class ExportReport(Result):
    """Summary of an export.

    Attributes:
        out: Folder that was written.
        videos: Number of videos with at least one exported frame.
        frames: Number of exported frames.
        tables: Names of the JSON files, without the suffix.
        labels: Class names that DeepfakeBench does not define, with their labels (fake is 1).
        errors: Entries `{"video_id", "path", "stage", "error"}` of frames and videos that could not
            be exported.
    """

    out: Path
    videos: int
    frames: int
    tables: list[str]
    labels: dict[str, int]
    errors: list[dict[str, str]]

    def describe(self) -> list[str]:
        """Returns lines that count videos and frames and name the JSON files and new labels."""
        lines = [f"{self.out}: {self.videos} videos, {self.frames} frames"]
        lines.append("JSON files: " + ", ".join(self.tables))
        if self.labels:
            labels = ", ".join(f"{name}: {label}" for name, label in self.labels.items())
            lines.append(f"add to label_dict in training/config/train_config.yaml: {labels}")
        return lines

    def list_errors(self) -> list[str]:
        """Returns a line for each frame or video that could not be exported."""
        return [f"{error['video_id']}: {error['error']}" for error in self.errors]


def export_deepfakebench(
    index_path: str | os.PathLike[str], out: str | os.PathLike[str]
) -> ExportReport:
    """Writes crops as PNG files, and the JSON files that list them.

    As in DeepfakeBench, videos without a split are listed in all three splits.

    Args:
        index_path: Index file after extraction.
        out: Folder to write, which is new, empty or that of an earlier export.

    Raises:
        UsageError: The index belongs to a pack or names no crops, no crop is readable, or `out`
            contains other files.
    """
    index_path, out = Path(index_path), Path(out)
    folder = index_path.parent
    if (folder / MANIFEST).is_file():
        raise UsageError(f"{index_path} is the index of a pack: give the index of its crops")
    index = read_index(index_path)
    rows = list(index.itertuples())
    if index["frames_dir"].isna().all():
        raise UsageError("the index names no face crops: run `dfjax data extract` on it first")
    if out.exists() and any(p.name not in ("datasets", "preprocessing") for p in out.iterdir()):
        raise UsageError(f"{out} holds other files; choose an empty folder")
    files = (file for row in rows if row.frame_indices for file in frame_paths(folder, row))
    for place, read in ((out / "datasets", files), (out / "preprocessing", iter(()))):
        check_folder(place, inputs=read, owner=place / MARK)
        mark_folder(place)
    with ThreadPoolExecutor(THREADS) as threads:
        results = threads.map(lambda row: _write_video(row, folder, out), rows)
        written = list(track(results, total=len(rows), what="videos"))
    records = json.loads(index.to_json(orient="records", double_precision=15))
    tables: Tables = {}
    for position, (row, (frames, _)) in enumerate(zip(rows, written)):
        if frames:
            kept = {"position": position, "row": _drop_crop_columns(records[position])}
            _add_video(tables, row, frames, kept)
    if not tables:
        raise UsageError(f"none of the crops can be read; the first error is: {written[0][1][0]}")
    _add_method_tables(tables)
    _add_empty_levels(tables)
    for name, classes in tables.items():
        with atomic_path(out / TABLES / f"{name}.json") as partial:
            partial.write_text(json.dumps({name: classes}))
    errors = [
        {"video_id": row.video_id, "path": str(row.frames_dir), "stage": "export", "error": error}
        for row, (_, found) in zip(rows, written)
        for error in found
    ]
    return ExportReport(
        out=out,
        videos=sum(bool(frames) for frames, _ in written),
        frames=sum(len(frames) for frames, _ in written),
        tables=sorted(tables),
        labels=_find_new_labels(index["dataset"].unique().tolist()),
        errors=errors,
    )


def find_frame_folder(video_id: str, dataset: str) -> PurePosixPath:
    """Returns the folder of a video's frames relative to the checkout.

    Different ids have different folders.

    Args:
        video_id: Id of the video in the index.
        dataset: Name of its data set.

    Raises:
        InputError: The id is not a safe relative path.
    """
    name = find_names(dataset).dataset
    parts = safe_path(video_id).split("/")
    parts = parts[1:] if len(parts) > 1 else parts
    top = []
    if dataset in ("ffpp", "dfd"):
        name = "FaceForensics++"
        top = [FF_TOPS.get(parts[0], "manipulated_sequences")]
    return PurePosixPath(RGB, name, *top, *parts[:-1], "frames", parts[-1])


def _write_video(row: Any, folder: Path, out: Path) -> tuple[list[str], list[str]]:
    """Writes the frames of one video; returns their paths, and an error for each other frame."""
    if not isinstance(row.frames_dir, str) or not row.frame_indices:
        return [], ["no face crops were extracted"]
    try:
        place = find_frame_folder(row.video_id, row.dataset)
    except InputError as error:
        return [], [f"its video_id cannot name a folder: {error}"]
    check_inside(out / place, out)
    (out / place).mkdir(parents=True, exist_ok=True)
    frames, errors = [], []
    for index, file in zip(row.frame_indices, frame_paths(folder, row)):
        image = decode_image(file.read_bytes()) if file.is_file() else None
        if image is None:
            errors.append(f"{file.name}: missing or damaged")
            continue
        target = place / f"{index:03d}.png"
        (out / target).unlink(missing_ok=True)  # it may be a link
        cv2.imencode(".png", image)[1].tofile(out / target)
        frames.append(f"./{target}")
    return frames, errors


def _drop_crop_columns(record: dict[str, Any]) -> dict[str, Any]:
    """Returns a row without the columns that name the files of its crops."""
    dropped = ("frames_dir", "frame_names", "frame_indices")
    return {name: value for name, value in record.items() if name not in dropped}


def _add_video(tables: Tables, row: Any, frames: list[str], kept: dict[str, Any]) -> None:
    """Adds the entry of a video to the table of its data set.

    Args:
        tables: Tables by name: class, split, (for FaceForensics++ compression,) video, entry.
        row: Row of the video in the index.
        frames: Paths of its frames.
        kept: Content of the entry's key `dfjax`.
    """
    names = find_names(row.dataset)
    table = "FaceShifter" if row.method == "FaceShifter" else names.dataset
    class_name = _class_name(names, row)
    parts = row.video_id.split("/")
    for split in SPLITS if row.split == "none" else (row.split,):
        level = tables.setdefault(table, {}).setdefault(class_name, {}).setdefault(split, {})
        if table in NESTED:
            level = level.setdefault(_compression(row), {})
        video = parts[-1] if parts[-1] not in level else "__".join(parts[1:])
        level[video] = {"label": class_name, "frames": frames, OURS: kept}


def _class_name(names: Names, row: Any) -> str:
    if row.label == REAL:
        return names.real
    return names.fakes.get(row.method, names.fake)


def _compression(row: Any) -> str:
    return row.compression if isinstance(row.compression, str) else "raw"


def _add_method_tables(tables: Tables) -> None:
    """Adds a table per method of FaceForensics++; these and FaceShifter's include the reals."""
    ffpp = tables.get("FaceForensics++", {})
    reals = {"FF-real": ffpp["FF-real"]} if "FF-real" in ffpp else {}
    for name in METHOD_TABLES:
        if name in ffpp:
            tables[name] = reals | {name: ffpp[name]}
    if "FaceShifter" in tables:
        tables["FaceShifter"] = reals | tables["FaceShifter"]


def _add_empty_levels(tables: Tables) -> None:
    """Adds empty splits and compressions, because the loader looks each up in every class."""
    for table, classes in tables.items():
        rates = sorted({r for c in classes.values() for s in c.values() for r in s})
        for by_split in classes.values():
            for split in SPLITS:
                level = by_split.setdefault(split, {})
                for rate in rates if table in NESTED else ():
                    level.setdefault(rate, {})


def _find_new_labels(datasets: list[str]) -> dict[str, int]:
    """Returns the labels of the classes that DeepfakeBench does not define, by class name."""
    new = [find_names(dataset) for dataset in datasets if dataset not in NAMES]
    return {label: k for names in new for k, label in enumerate((names.real, names.fake))}
