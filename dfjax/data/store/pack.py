"""Writes packs: the face crops of all videos in a few large files with fast random access.

A pack is a TFDS data directory (ArrayRecord shards, `features.json`, `dataset_info.json`) that also
holds `index.parquet`, `crop_recipe.json` if the recipe is known, `errors.jsonl` if crops were left
out, and `checksums.json`. The column `pack_row` of the index is the number of a video's first
record in its split. A pack is written to a temporary folder that is then renamed, so that an
interrupted call leaves no incomplete pack.

A pack of the same crops always has the same bytes, so that its `checksums.json` identifies a data
set. Its index therefore names neither the time nor the arguments of the call.
"""

import dataclasses
import hashlib
import json
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from dfjax.data.beam_pipeline import Beam, make_beam
from dfjax.data.each_row import choose_run
from dfjax.data.faces.crop_check import check_crops
from dfjax.data.faces.recipe import (
    RECIPE_FILE,
    CropRecipe,
    make_metadata,
    read_crop_recipe,
    write_crop_recipe,
)
from dfjax.data.index.error_log import ErrorLog, read_errors
from dfjax.data.index.records import read_index, write_index
from dfjax.data.store.flow_files import check_flows, flow_path, has_flow
from dfjax.data.store.mask_files import check_masks, has_masks, mask_file
from dfjax.data.store.pack_builder import count_records, frame_paths, write_records
from dfjax.data.store.pack_reader import (
    MANIFEST,
    PACK_FILES,
    Pack,
    check_replaceable,
    open_pack,
    read_manifest,
)
from dfjax.errors import UsageError
from dfjax.files import atomic_path, hash_file, lock_folder, write_json
from dfjax.results import Result

__all__ = ["Pack", "PackReport", "open_pack", "pack"]


@dataclasses.dataclass(frozen=True)
class PackReport(Result):
    """Summary of a pack.

    Attributes:
        out: Folder of the pack.
        videos: Number of videos in the pack.
        frames: Number of crops in the pack.
        crop_size: Side of the crops in pixels.
        errors: Entries `{"video_id", "path", "stage", "error"}` of crops and videos left out.
        reused: Whether the pack already existed.
    """

    out: Path
    videos: int
    frames: int
    crop_size: int
    errors: list[dict[str, str]]
    reused: bool

    def describe(self) -> list[str]:
        """Returns a line that counts videos and frames."""
        verb, size = "reused" if self.reused else "packed", self.crop_size
        return [f"{verb} {self.out}: {self.videos} videos, {self.frames} frames of {size}x{size}"]

    def list_errors(self) -> list[str]:
        """Returns a line that counts the frames and videos that were left out."""
        log = self.out / "errors.jsonl"
        return [f"{len(self.errors)} frames or videos left out, see {log}"] if self.errors else []

    def to_json(self) -> dict[str, Any]:
        """Returns the counts as `dfjax data pack --json` prints them."""
        return super().to_json() | {"errors": len(self.errors)}


def pack(
    index_path: str | os.PathLike[str],
    out: str | os.PathLike[str],
    *,
    fresh: bool = False,
    replace: bool = False,
    beam_runner: str | None = None,
    beam_options: str = "",
) -> PackReport:
    """Writes the crops that an index names as a pack in folder `out`.

    Every crop is decoded once as a check. Missing and damaged crops, and videos without any usable
    crop, are left out and listed in `errors.jsonl`. If `out` already is a pack of the same crops,
    it is reused, and their crop recipe is added to it if it has become known since.

    Args:
        index_path: Index file after extraction.
        out: Folder to write, which must be missing, empty or a pack.
        fresh: Whether to replace a pack that exists, even one of the same crops.
        replace: Whether to replace a pack of other crops and reuse one of the same crops.
        beam_runner: Runner of Apache Beam, which replaces threads of this process.
        beam_options: Options of that runner, as on a command line.

    Raises:
        UsageError: The index names no crops, no crop is readable, crops differ in size, `out` holds
            other crops or other files, or another process is writing it.
        OSError: The disk is full, for example; `out` is then unchanged.
    """
    index_path, out = Path(index_path), Path(out)
    beam = make_beam(out, beam_runner, beam_options)
    table = read_index(index_path)
    if table["frames_dir"].isna().all():
        raise UsageError(f"{index_path} names no face crops: run `dfjax data extract` on it first")
    with lock_folder(out):
        source = compute_source_hash(table, index_path.parent)
        recipe = read_crop_recipe(index_path)
        if _is_finished(out, source, recipe, fresh=fresh, replace=replace):
            add_recipe(out, recipe)
            return _report(out, reused=True)
        partial = out.with_name(f".{out.name}.partial")
        shutil.rmtree(partial, ignore_errors=True)  # left by a process that was killed
        try:
            _write(partial, table, index_path, source, beam)
            if out.exists():
                shutil.rmtree(out)
            partial.rename(out)
        finally:
            shutil.rmtree(partial, ignore_errors=True)  # the disk may be full
    return _report(out, reused=False)


def _write(
    folder: Path, table: pd.DataFrame, index_path: Path, source: str, beam: Beam | None
) -> None:
    run = choose_run(beam)
    if beam:
        beam.clear()
    kept, crop_size, errors = check_crops(table, index_path, run)
    if has_flow(kept):
        kept, damaged = check_flows(kept, index_path.parent, crop_size, run)
        errors += damaged
    if has_masks(kept):
        kept, damaged = check_masks(kept, index_path.parent, crop_size, run)
        errors += damaged
    folder.mkdir(parents=True)
    write_records(kept, index_path.parent, folder, run if beam else None)
    kept["pack_row"] = find_pack_rows(kept)
    recipe = read_crop_recipe(index_path)
    metadata = make_metadata(recipe)
    place = folder / "index.parquet"
    write_index(kept, place, command="dfjax data pack", metadata=metadata, dated=False)
    write_crop_recipe(folder, recipe)
    log = ErrorLog(folder / "errors.jsonl")
    for error in errors:
        log.add(**error)
    _write_manifest(folder, source, crop_size)


def add_recipe(folder: Path, recipe: CropRecipe | None) -> None:
    """Writes the crop recipe of a finished pack or feature pack that has none.

    Its checksum is written before it, so that an interrupted call leaves a pack without a recipe,
    to which the next call adds it.

    Args:
        folder: Folder of the pack.
        recipe: Recipe of its crops, or None if it is not known.
    """
    if recipe is None or read_crop_recipe(folder) is not None:
        return
    manifest = read_manifest(folder)
    with atomic_path(folder / RECIPE_FILE) as partial:
        write_json(partial, dataclasses.asdict(recipe))
        manifest["files"][RECIPE_FILE] = hashlib.sha256(partial.read_bytes()).hexdigest()
        write_json(folder / MANIFEST, manifest, indent=1)


def find_pack_rows(table: pd.DataFrame) -> np.ndarray:
    """Returns the number of each video's first record in its split, i64[len(table)].

    Args:
        table: Index in the order in which the videos are written.
    """
    counts = table["frame_indices"].map(len).map(count_records)
    before = counts.groupby(table["split"]).cumsum() - counts
    return before.to_numpy(np.int64)


def compute_source_hash(table: pd.DataFrame, folder: Path) -> str:
    """Returns the SHA-256 of the rows of an index and of the sizes of their files in bytes.

    Args:
        table: Index of the crops.
        folder: Folder of the index file.
    """
    digest = hashlib.sha256(table.to_json(orient="records").encode())
    for row in table[table["frames_dir"].notna()].itertuples():
        files = frame_paths(folder, row) if row.frame_indices else []
        if isinstance(getattr(row, "flow_dir", None), str):
            files += [flow_path(folder, row, start) for start in row.flow_indices]
        if isinstance(getattr(row, "mask_dir", None), str):
            files += [mask_file(folder, row, frame) for frame in row.mask_indices]
        sizes = [_size(file) for file in files]
        digest.update(np.asarray(sizes, np.int64).tobytes())
    return digest.hexdigest()


def _size(path: Path) -> int:
    return path.stat().st_size if path.is_file() else -1


def _is_finished(
    out: Path, source: str, recipe: CropRecipe | None, *, fresh: bool, replace: bool
) -> bool:
    """Returns whether `out` is a pack of these crops, with this recipe or none, to be reused.

    Raises:
        UsageError: `out` is a pack of other crops or with another recipe, which neither `fresh` nor
            `replace` allows to replace, or it holds other files.
    """
    if not out.exists():
        return False
    if not out.is_dir():
        raise UsageError(f"{out} is a file, not a folder")
    if not any(out.iterdir()):
        return False
    if not (out / MANIFEST).is_file():
        raise UsageError(f"{out} holds other files; choose an empty folder")
    if fresh:
        check_replaceable(out, PACK_FILES)
        return False
    if read_manifest(out)["source_sha256"] == source:
        recorded = read_crop_recipe(out)
        if None in (recipe, recorded) or recipe == recorded:
            return True
    if not replace:
        raise UsageError(
            f"{out} is a pack of another index or of other crops; choose another folder, or "
            "set fresh to replace it"
        )
    check_replaceable(out, PACK_FILES)
    return False


def _write_manifest(folder: Path, source: str, crop_size: int) -> None:
    files = {path.name: hash_file(path) for path in sorted(folder.iterdir())}
    manifest = {"source_sha256": source, "crop_size": crop_size, "files": files}
    (folder / MANIFEST).write_text(json.dumps(manifest, indent=1))


def _report(out: Path, *, reused: bool) -> PackReport:
    index = read_index(out / "index.parquet")
    return PackReport(
        out=out,
        videos=len(index),
        frames=int(index["frame_indices"].map(len).sum()),
        crop_size=int(read_manifest(out)["crop_size"]),
        errors=read_errors(out),
        reused=reused,
    )
