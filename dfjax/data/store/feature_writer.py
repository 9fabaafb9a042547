"""Writes a feature pack shard by shard, so that an interrupted run can be resumed.

Finished shards are stored in the folder `.NAME.partial` beside the pack's final path, each as a
matrix and a JSON note that lists its videos. The folder is renamed once all shards are finished.
"""

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from jaxtyping import Float

from dfjax.data.faces.recipe import CropRecipe, make_metadata, write_crop_recipe
from dfjax.data.index.error_log import ErrorLog
from dfjax.data.index.frame_paths import BESIDE_CROPS
from dfjax.data.index.records import write_index
from dfjax.data.store.feature_pack import (
    PARAMETERS,
    RECORD,
    ROW,
    SHARD,
    is_feature_pack,
    shard_name,
)
from dfjax.data.store.pack_reader import MANIFEST, check_replaceable, read_manifest
from dfjax.errors import UsageError
from dfjax.files import atomic_path, hash_file
from dfjax.json_files import read_json, read_mark

FRAMES_PER_SHARD = 8192
"""Largest number of frames per shard; an interrupted run computes at most one shard again. A shard
has 20 MB with 1280 half-precision features per frame."""

NOTES, PLAN = "notes", "plan.txt"
"""Folder of the notes, which the complete pack does not have, and the file in it with the hash of
the plan."""

FEATURE_FILES = ("features-*.npy", PARAMETERS)
"""Files of feature packs only, as patterns."""

NOTE = {"rows": {str: int}, "errors": {str: str}}
"""Schema of a note: where the features of each row begin, and why others have none."""

DROPPED = ("pack_row", "pack_split", *BESIDE_CROPS)
"""Columns of the index that refer to files which a feature pack does not have."""


class VideoFeatures(NamedTuple):
    """Result for one video: its features, or an error.

    Attributes:
        row: Position of the video in the index.
        features: Features of its n crops, or None if there is an error.
        error: Reason why there are no features.
    """

    row: int
    features: Float[np.ndarray, "n D"] | None
    error: str = ""


def plan_shards(index: pd.DataFrame) -> list[range]:
    """Returns the rows of each shard.

    A shard has at least one video, and otherwise as many consecutive ones as have
    `FRAMES_PER_SHARD` frames together.

    Args:
        index: Index of the crops.
    """
    counts = index["frame_indices"].map(len).tolist()
    shards, first, frames = [], 0, 0
    for row, count in enumerate(counts):
        if frames and frames + count > FRAMES_PER_SHARD:
            shards.append(range(first, row))
            first, frames = row, 0
        frames += count
    return [*shards, range(first, len(counts))]


def is_finished(out: Path, plan_sha256: str, *, fresh: bool) -> bool:
    """Returns whether `out` is the complete pack of this plan and need not be computed.

    Args:
        out: Folder of the feature pack.
        plan_sha256: Hash of the crops and of the backbone.
        fresh: Whether to replace a feature pack that exists.

    Raises:
        UsageError: `out` is a feature pack of another plan and `fresh` is False, or it is another
            folder that is not empty, or has files that are not of the pack.
    """
    if not out.exists() or (out.is_dir() and not any(out.iterdir())):
        return False
    if not is_feature_pack(out):
        raise UsageError(f"{out} holds other files; choose an empty folder")
    same = read_manifest(out).get("source_sha256") == plan_sha256
    if not same and not fresh:
        raise UsageError(
            f"{out} holds features of other crops or of another backbone; choose another folder, "
            "or set fresh to replace them"
        )
    if fresh:
        check_replaceable(out, FEATURE_FILES)
    return same and not fresh


def open_partial(out: Path, plan_sha256: str) -> Path:
    """Returns the folder of the finished shards, after removing those of another plan.

    Args:
        out: Folder of the feature pack.
        plan_sha256: Hash of the crops and of the backbone.
    """
    folder = out.with_name(f".{out.name}.partial")
    plan = folder / NOTES / PLAN
    if not plan.is_file() or plan.read_text(encoding="utf-8") != plan_sha256:
        shutil.rmtree(folder, ignore_errors=True)
        with atomic_path(plan) as partial:
            partial.write_text(plan_sha256, encoding="utf-8")
    return folder


def is_shard_finished(folder: Path, number: int) -> bool:
    """Returns whether shard `number` is finished, which its note marks.

    Args:
        folder: Result of `open_partial`.
        number: Number of the shard.
    """
    return read_mark(note_path(folder, number), NOTE) is not None


def write_shard(
    folder: Path, number: int, videos: Sequence[VideoFeatures], *, dtype: str, width: int
) -> None:
    """Writes the features of some videos as one matrix, and then the note on its content.

    Videos with an error, or with features that overflow `dtype`, are listed in the note only.

    Args:
        folder: Result of `open_partial`.
        number: Number of the shard.
        videos: Results for the videos of the shard.
        dtype: Type in which features are stored, `float16` or `float32`.
        width: Number of features per frame, D.

    Raises:
        OSError: The disk is full.
    """
    good: list[np.ndarray] = []
    rows: dict[int, int] = {}
    errors: dict[int, str] = {}
    first = 0
    for video in videos:
        with np.errstate(over="ignore"):
            features = None if video.features is None else video.features.astype(dtype)
        if features is None:
            errors[video.row] = video.error
        elif not np.isfinite(features).all():
            errors[video.row] = f"its features are not finite in {dtype}"
        else:
            rows[video.row], first = first, first + len(features)
            good.append(features)
    matrix = np.concatenate(good) if good else np.zeros((0, width), dtype)
    with atomic_path(folder / shard_name(number)) as partial:
        with partial.open("wb") as file:
            np.save(file, matrix, allow_pickle=False)
    with atomic_path(note_path(folder, number)) as partial:
        partial.write_text(json.dumps({"rows": rows, "errors": errors}), encoding="utf-8")


def finish(
    folder: Path,
    out: Path,
    index: pd.DataFrame,
    record: dict[str, Any],
    *,
    manifest: dict[str, Any],
    left_out: Sequence[dict[str, str]],
    recipe: CropRecipe | None,
    command: str,
) -> None:
    """Writes the index, the record and the checksums, and moves the folder to `out`.

    Args:
        folder: Result of `open_partial`, with all shards and the backbone's parameters.
        out: Folder of the feature pack; a feature pack there is replaced.
        index: Index of the crops.
        record: Content of `features.json`.
        manifest: Further entries of `checksums.json`: `source_sha256` and `crop_size`.
        left_out: Errors of crops that were found earlier, for `errors.jsonl`.
        recipe: Crop recipe, or None if it is not known.
        command: Command to record in the metadata of the index.

    Raises:
        UsageError: No video has features.
    """
    notes = {
        number: read_json(note_path(folder, number), NOTE)
        for number in range(len(plan_shards(index)))
    }
    places = {
        int(row): (number, first)
        for number, note in notes.items()
        for row, first in note["rows"].items()
    }
    log = ErrorLog(folder / "errors.jsonl")
    for entry in left_out:
        log.add(**entry)
    for note in notes.values():
        for row, error in note["errors"].items():
            video_id = index["video_id"].iloc[int(row)]
            log.add(video_id=video_id, path=str(record["source"]), stage="features", error=error)
    if not places:
        raise UsageError(f"no video has features; see {log.path}")
    kept = _place_rows(index, places)
    index_path, metadata = folder / "index.parquet", make_metadata(recipe)
    write_index(kept, index_path, command=command, metadata=metadata)
    write_crop_recipe(folder, recipe)
    with atomic_path(folder / RECORD) as partial:
        partial.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    files = {path.name: hash_file(path) for path in sorted(folder.iterdir()) if path.is_file()}
    with atomic_path(folder / MANIFEST) as partial:
        partial.write_text(json.dumps(manifest | {"files": files}, indent=1), encoding="utf-8")
    shutil.rmtree(folder / NOTES)
    old = out.with_name(f".{out.name}.old")
    if out.exists():  # renamed first, because removing it takes longer and may be interrupted
        shutil.rmtree(old, ignore_errors=True)
        out.rename(old)
    folder.rename(out)
    shutil.rmtree(old, ignore_errors=True)


def _place_rows(index: pd.DataFrame, places: dict[int, tuple[int, int]]) -> pd.DataFrame:
    """Returns the rows with features and adds the columns with the position of these."""
    kept = index.iloc[sorted(places)].reset_index(drop=True)
    columns = zip(*(places[row] for row in sorted(places)))
    kept = kept.assign(**{name: list(column) for name, column in zip((SHARD, ROW), columns)})
    return kept.drop(columns=list(DROPPED), errors="ignore")


def note_path(folder: Path, number: int) -> Path:
    """Returns the file of the note on a shard."""
    return folder / NOTES / f"{number:05d}.json"
