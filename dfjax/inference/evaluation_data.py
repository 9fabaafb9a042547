"""The data that a detector is evaluated on: those of its run, or an index."""

import os
from pathlib import Path

from ml_collections import ConfigDict

from dfjax.data.index.records import find_index
from dfjax.data.store.feature_pack import FeaturePack, is_feature_pack, open_features
from dfjax.data.store.frame_store import FrameStore
from dfjax.data.store.pack import open_pack, pack
from dfjax.data.store.pack_reader import MANIFEST
from dfjax.errors import UsageError
from dfjax.experiment import run_data


def open_evaluation_data(
    config: ConfigDict,
    workdir: Path,
    index: str | os.PathLike[str] | None,
    out: Path | None = None,
) -> FrameStore:
    """Returns the data of a run, or those of an index.

    Args:
        config: Config of the run.
        workdir: Workdir of the run.
        index: Index of crops, or a pack or its index; None for the data of the run.
        out: Folder for the pack of crops that are not packed yet; None for that of the index.

    Raises:
        UsageError: The data do not exist, or the index has no crops.
    """
    if index is None:
        return run_data.open_data(config, workdir)
    return open_index(Path(index), out or Path(index).parent)


def open_index(index: Path, out: Path) -> FrameStore:
    """Returns the pack that an index belongs to, of crops or features.

    Crops that are not packed yet are packed in `out`.

    Args:
        index: Index of crops, or a pack or its index.
        out: Folder for the pack.

    Raises:
        UsageError: The index does not exist, or it has no crops.
    """
    folder = index if index.is_dir() else index.parent
    if (folder / MANIFEST).is_file() and find_index(index) == folder / "index.parquet":
        return open_features(folder) if is_feature_pack(folder) else open_pack(folder)
    pack(index, out / "pack")
    return open_pack(out / "pack")


def find_crops(data: FrameStore) -> FrameStore | None:
    """Returns the crops of data: those that features were computed from, or None if missing."""
    return data.open_crops() if isinstance(data, FeaturePack) else data


def need_crops(data: FrameStore) -> FrameStore:
    """Returns the crops of data.

    Raises:
        UsageError: The crops that the features were computed from are missing.
    """
    crops = find_crops(data)
    if crops is None:
        raise UsageError(f"the crops that {data.path} was computed from are missing")
    return crops
