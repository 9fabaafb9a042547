"""Makes a pack of the videos of another pack and of their fakes as a generator restores them."""

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
from dfjax.data.index.records import write_index
from dfjax.data.store.pack import Pack, pack
from dfjax.inference.restoring.restore_file import Restorer
from dfjax.inference.restoring.windows import restore_sequence

METHOD = "restored"
"""Manipulation of the added fakes in the index."""

SPLITS = ("train", "val")
"""Splits whose fakes are restored; those of the test split are restored when they are evaluated."""


def make_restored_pack(
    source: Pack, generator: Restorer, folder: Path, *, holdout: Collection[str] = ()
) -> Path:
    """Returns the pack `folder/pack`, which is written unless it is complete.

    It holds all videos of the source, and for every fake of `SPLITS` a further fake: its crops,
    restored in windows, with the same identities, group and split. All crops are encoded anew, so
    that the added ones do not differ by their number of compressions.

    Args:
        source: Pack of the detector's data.
        generator: Generator that restores the fakes.
        folder: Folder to write to.
        holdout: Manipulations that are held back from training. Their fakes are not restored, since
            the method of a restored fake is `METHOD`, by which it would not be held back.
    """
    target = folder / "pack"
    if (target / "checksums.json").is_file():
        return target
    raw = folder / "crops"
    rows = []
    index = source.index
    for row in track(range(len(index)), total=len(index), what="restoring fakes"):
        fields = index.iloc[row].to_dict()
        numbers = source.frame_numbers(row)
        crops = source.read(row, numbers)
        rows.append(_write(raw, fields, numbers, list(crops)))
        trained = fields["split"] in SPLITS and fields["method"] not in holdout
        if fields["label"] == FAKE and trained:
            frames = generator.config.data.frames
            batch_size = generator.config.eval.batch_size
            restored = restore_sequence(
                crops,
                generator.restore,
                frames=frames,
                overlap=frames // 4,
                batch_size=batch_size,
            )
            images = [np.clip(np.rint(crop), 0, 255).astype(np.uint8) for crop in restored]
            rows.append(_write(raw, _describe(fields), numbers, images))
    table = pd.DataFrame(rows).drop(columns=["pack_row", "pack_split"], errors="ignore")
    recipe = read_crop_recipe(source.path)
    metadata = make_metadata(recipe) if recipe else None
    write_index(table, raw / "index.parquet", command="dfjax harden", metadata=metadata)
    pack(raw / "index.parquet", target)
    shutil.rmtree(raw)
    return target


def _describe(fields: dict[str, Any]) -> dict[str, Any]:
    """Returns the row of a restored fake, from that of the fake."""
    changed = {"video_id": f"{fields['video_id']}/{METHOD}", "method": METHOD, "restored": True}
    return fields | changed | {"sha256": None, "bytes": None, "bitrate": None}


def _write(
    folder: Path, fields: dict[str, Any], numbers: np.ndarray, crops: list[np.ndarray]
) -> dict[str, Any]:
    """Writes the crops of a video, and returns its row of the index."""
    place = folder / fields["video_id"]
    place.mkdir(parents=True, exist_ok=True)
    for number, crop in zip(numbers.tolist(), crops):
        (place / f"{number:06d}.jpg").write_bytes(encode_crop(crop, JPEG_QUALITY))
    changed = {"frames_dir": fields["video_id"], "frame_names": None}
    flow = dict.fromkeys(("flow_dir", "flow_stride", "flow_indices"))
    return fields | changed | {name: None for name in flow if name in fields}
