"""Makes a pack of the videos of another pack and of their fakes as a generator restores them."""

import os
import shutil
from collections.abc import Collection
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from dfjax import FAKE
from dfjax.console import track
from dfjax.data.faces.crop_codec import encode_crop
from dfjax.data.faces.recipe import JPEG_QUALITY, make_metadata, read_crop_recipe
from dfjax.data.index.frame_paths import BESIDE_CROPS
from dfjax.data.index.records import write_index
from dfjax.data.store.pack import Pack, pack
from dfjax.evaluation.scoring.score_table import split_faces
from dfjax.inference.restoring.restore_file import Restorer
from dfjax.inference.restoring.restored_videos import restore_videos

METHOD = "restored"
"""Manipulation of the added fakes in the index."""

SPLITS = ("train", "val", "test")
"""Splits whose fakes are restored."""

Row = dict[str, Any]


def make_restored_pack(
    source: Pack, generator: Restorer, folder: Path, *, holdout: Collection[str] = ()
) -> Path:
    """Returns the pack `folder/pack`, which is written unless it is complete.

    It holds all videos of the source, and for every fake of `SPLITS` a further fake: its crops,
    restored in windows, with the same identities, group and split. All crops are encoded anew, so
    that the added ones do not differ by their number of compressions, in training as in the test.
    A call that was stopped is continued: the crops of finished videos are kept.

    Args:
        source: Pack of the detector's data.
        generator: Generator that restores the fakes.
        folder: Folder to write to.
        holdout: Manipulations that are held back from training. Their fakes are restored in the
            split `test` only, since the method of a restored fake is `METHOD`, by which it would
            not be held back.
    """
    target = folder / "pack"
    if (target / "checksums.json").is_file():
        return target
    raw, index, recipe = folder / "crops", source.index, read_crop_recipe(source.path)
    quality = recipe.jpeg_quality if recipe else JPEG_QUALITY
    held = index["method"].isin(list(holdout)) & (index["split"] != "test")
    fakes = (index["label"] == FAKE) & index["split"].isin(SPLITS) & ~held
    rows = np.flatnonzero(fakes).tolist()
    _copy(source, raw, quality)
    _restore(source, rows, generator, raw, quality)
    table = pd.DataFrame(
        [_describe(index, row, "plain", {}) for row in range(len(index))]
        + [_describe(index, row, METHOD, _rename(index, row)) for row in rows]
    ).drop(columns=["pack_row", "pack_split"], errors="ignore")
    metadata = make_metadata(recipe) if recipe else None
    write_index(table, raw / "index.parquet", command="dfjax harden", metadata=metadata)
    pack(raw / "index.parquet", target)
    shutil.rmtree(raw)
    return target


def _copy(source: Pack, folder: Path, quality: int) -> None:
    """Writes the crops of all videos that are not written yet."""
    for row in track(range(len(source.index)), total=len(source.index), what="encoding videos"):
        place = folder / _locate(source.index, row, "plain")
        if not place.is_dir():
            numbers = source.frame_numbers(row)
            _write(place, numbers, source.read(row, numbers), quality)


def _restore(
    source: Pack, rows: list[int], generator: Restorer, folder: Path, quality: int
) -> None:
    """Writes the restored crops of the fakes that are not written yet."""
    places = {row: folder / _locate(source.index, row, METHOD) for row in rows}
    left = [row for row in rows if not places[row].is_dir()]
    videos = ((row, source.frame_numbers(row)) for row in left)
    restored = restore_videos(source, videos, generator)
    for video in track(restored, total=len(left), what="restoring fakes"):
        _write(places[video.row], video.numbers, video.restored, quality)


def _locate(index: pd.DataFrame, row: int, kind: str) -> str:
    """Returns the folder of the crops of a video, below that of the index."""
    return f"{kind}/{index['video_id'].iloc[row]}"


def _rename(index: pd.DataFrame, row: int) -> Row:
    """Returns the fields in which the row of a restored fake differs from that of the fake."""
    parts = split_faces(index.iloc[[row]])
    face = f"#{k}" if (k := int(parts["face"][0])) else ""
    name = f"{parts['video_id'][0]}/{METHOD}{face}"
    changed = {"video_id": name, "method": METHOD, "restored": True}
    return changed | dict.fromkeys(("sha256", "bytes", "bitrate"))


def _describe(index: pd.DataFrame, row: int, kind: str, changed: Row) -> Row:
    """Returns the row of a written video."""
    fields = index.iloc[row].to_dict()
    beside = (name for name in BESIDE_CROPS if name in fields)
    places = {"frames_dir": _locate(index, row, kind), "frame_names": None}
    return fields | dict.fromkeys(beside) | places | changed


def _write(place: Path, numbers: np.ndarray, crops: np.ndarray, quality: int) -> None:
    """Writes the crops of a video to a folder, which exists only once it is complete."""
    partial = place.with_name(f"{place.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    for number, crop in zip(numbers.tolist(), crops):
        (partial / f"{number:06d}.jpg").write_bytes(encode_crop(crop, quality))
    os.replace(partial, place)
