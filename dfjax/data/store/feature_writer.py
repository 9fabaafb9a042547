"""Writing a feature pack shard by shard, so that a run that was killed goes on where it was.

Finished shards lie in `.NAME.partial` beside the pack's place, each a matrix and a note of the
videos in it; the folder is renamed when the last one is there.
"""

import hashlib
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
from dfjax.data.index.records import write_index
from dfjax.data.store.feature_pack import RECORD, ROW, SHARD, is_feature_pack, shard_name
from dfjax.data.store.pack_reader import MANIFEST, read_manifest
from dfjax.errors import UsageError
from dfjax.files import atomic_path

FRAMES_PER_SHARD = 8192
"""Up to 20 MB of 1280 half-precision numbers: what a killed run computes again."""

NOTES, PLAN = "notes", "plan.txt"
"""A folder that the finished pack does not have, and in it the hash of what is being computed."""

NOT_KEPT = ("pack_row", "pack_split", "flow_dir", "flow_stride", "flow_indices")
"""Columns of the index that are about files which a feature pack does not have."""


class VideoFeatures(NamedTuple):
    """What came of one video: its features, or what is wrong with it."""

    row: int
    features: Float[np.ndarray, "n D"] | None
    error: str = ""


def plan_shards(index: pd.DataFrame) -> list[range]:
    """Returns the rows of each shard: consecutive videos, as many as fit, at least one."""
    counts = index["frame_indices"].map(len).tolist()
    shards, first, frames = [], 0, 0
    for row, count in enumerate(counts):
        if frames and frames + count > FRAMES_PER_SHARD:
            shards.append(range(first, row))
            first, frames = row, 0
        frames += count
    return [*shards, range(first, len(counts))]


def is_finished(out: Path, plan_sha256: str, *, fresh: bool) -> bool:
    """Tells whether `out` already is the pack of this plan.

    Raises:
        UsageError: it holds something else that must not be replaced.
    """
    if not out.exists() or (out.is_dir() and not any(out.iterdir())):
        return False
    if not is_feature_pack(out):
        raise UsageError(f"{out} holds other files; choose an empty folder")
    same = read_manifest(out).get("source_sha256") == plan_sha256
    if not same and not fresh:
        raise UsageError(
            f"{out} holds features of other crops or of another backbone; choose another folder, "
            "or replace it (fresh)"
        )
    return same and not fresh


def open_partial(out: Path, plan_sha256: str) -> Path:
    """Returns the folder of finished shards; those of another plan are removed."""
    folder = out.with_name(f".{out.name}.partial")
    plan = folder / NOTES / PLAN
    if not plan.is_file() or plan.read_text(encoding="utf-8") != plan_sha256:
        shutil.rmtree(folder, ignore_errors=True)
        with atomic_path(plan) as partial:
            partial.write_text(plan_sha256, encoding="utf-8")
    return folder


def is_shard_there(folder: Path, number: int) -> bool:
    """Returns whether a shard is finished: its note is written after its matrix."""
    return _note(folder, number).is_file()


def write_shard(
    folder: Path, number: int, videos: Sequence[VideoFeatures], *, dtype: str, width: int
) -> None:
    """Writes the features of some videos as one matrix, and the note of where each begins.

    A video whose features overflow `dtype` is left out, like one with an error.

    Raises:
        OSError: the disk is full.
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
    with atomic_path(_note(folder, number)) as partial:
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
    """Writes the index, the record and the checksums, and moves everything to `out`.

    Args:
        folder: `open_partial(…)`, every shard in it; the backbone's parameters too.
        out: the pack's place; a pack there is replaced.
        index: rows that shards were computed of.
        record: content of `features.json`.
        manifest: what `checksums.json` says besides: `source_sha256` and `crop_size`.
        left_out: entries of `errors.jsonl` from before.
        recipe: how the crops were cut, None where it is not known.
        command: the command line, for the index.

    Raises:
        UsageError: no video has features.
    """
    notes = {
        number: json.loads(_note(folder, number).read_text(encoding="utf-8"))
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
    files = {path.name: _hash(path) for path in sorted(folder.iterdir()) if path.is_file()}
    with atomic_path(folder / MANIFEST) as partial:
        partial.write_text(json.dumps(manifest | {"files": files}, indent=1), encoding="utf-8")
    shutil.rmtree(folder / NOTES)
    old = out.with_name(f".{out.name}.old")
    if out.exists():  # moved away first: removing it may take long, and be interrupted
        shutil.rmtree(old, ignore_errors=True)
        out.rename(old)
    folder.rename(out)
    shutil.rmtree(old, ignore_errors=True)


def _place_rows(index: pd.DataFrame, places: dict[int, tuple[int, int]]) -> pd.DataFrame:
    """Returns the rows that have features, with the columns that say where those are."""
    kept = index.iloc[sorted(places)].reset_index(drop=True)
    columns = zip(*(places[row] for row in sorted(places)))
    kept = kept.assign(**{name: list(column) for name, column in zip((SHARD, ROW), columns)})
    return kept.drop(columns=list(NOT_KEPT), errors="ignore")


def _note(folder: Path, number: int) -> Path:
    return folder / NOTES / f"{number:05d}.json"


def _hash(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
