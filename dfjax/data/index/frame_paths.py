"""Columns of an index for folders of crops, rewritten where the index moves to another place."""

import os
from pathlib import Path

import pandas as pd

FOLDERS = ("frames_dir", "flow_dir", "mask_dir")
"""Columns of folders that are relative to that of the index file."""

BESIDE_CROPS = ("flow_dir", "flow_stride", "flow_indices", "mask_dir", "mask_indices")
"""Columns of files that belong to the crops of a video, and not to other crops of it."""


def rebase_frames(index: pd.DataFrame, source: Path, target: Path) -> pd.DataFrame:
    """Returns the index with its folders relative to `target` instead of `source`.

    Absolute folders and nulls are not changed.

    Args:
        index: Index to rewrite.
        source: Folder that its folders are relative to now.
        target: Folder of the new index file.
    """
    source, target = source.resolve(), target.resolve()
    if source == target:
        return index
    way = os.path.relpath(source, target)

    def move(folder: object) -> object:
        if not isinstance(folder, str) or os.path.isabs(folder):
            return folder
        return Path(os.path.normpath(Path(way, folder))).as_posix()

    columns = index.columns.intersection(FOLDERS)
    return index.assign(**{name: index[name].map(move) for name in columns})
