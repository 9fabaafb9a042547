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
from dfjax.experiment import workdir as workdirs
from dfjax.files import hash_file


def open_evaluation_data(
    config: ConfigDict,
    workdir: Path,
    index: str | os.PathLike[str] | None,
    out: Path | None = None,
    *,
    data_sha256: str = "",
) -> FrameStore:
    """Returns the data of a run, or those of an index.

    Args:
        config: Config of the run.
        workdir: Workdir of the run.
        index: Index of crops, or a pack or its index; None for the data of the run.
        out: Folder for the pack of crops that are not packed yet; None for that of the index.
        data_sha256: SHA-256 of the index of the run's data, from the header of a file, or empty.

    Raises:
        UsageError: The data do not exist, a file does not say where they are, or the index has no
            crops.
    """
    if index is None:
        return open_run_data(config, workdir, data_sha256)
    return open_index(Path(index), out or Path(index).parent)


def open_run_data(
    config: ConfigDict, workdir: Path, data_sha256: str, *, remedy: str = "give them as index"
) -> FrameStore:
    """Returns the data of a run.

    The header of an exported file names data without their folder. Data of this name in the current
    folder are taken only if their index has the hash in the header.

    Args:
        config: Config of the run.
        workdir: Workdir of the run, or path of the file without its suffix.
        data_sha256: SHA-256 of the index of the data, from the header of the file, or empty.
        remedy: What the error says to do where the file does not say where its data are.

    Raises:
        UsageError: The data do not exist, or a file does not say where they are.
    """
    named = config.data.features or config.data.path
    if named and Path(named).name == named and not _is_config_of(workdir, config):
        index = find_index(Path(named))
        if not data_sha256 or not index.is_file() or hash_file(index) != data_sha256:
            raise UsageError(
                f"the header of the file {workdir.name} names its data, {named}, and no folder, "
                f"and no {named} in the current folder is known to be these data; {remedy}"
            )
    return run_data.open_data(config, workdir)


def _is_config_of(workdir: Path, config: ConfigDict) -> bool:
    """Returns whether a folder is a workdir whose config names the same data."""
    if not (workdir / "config.json").is_file():
        return False
    data = workdirs.load(workdir).data
    return (data.path, data.features) == (config.data.path, config.data.features)


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
