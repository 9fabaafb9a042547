"""Index files move; the crops they name stay where they are."""

import os
from pathlib import Path

import pandas as pd


def rebase_frames(index: pd.DataFrame, source: Path, target: Path) -> pd.DataFrame:
    """Returns the index with `frames_dir` relative to folder `target` instead of `source`.

    Absolute folders and nulls stay as they are.
    """
    source, target = source.resolve(), target.resolve()
    if source == target:
        return index
    way = os.path.relpath(source, target)

    def move(frames_dir: object) -> object:
        if not isinstance(frames_dir, str) or os.path.isabs(frames_dir):
            return frames_dir
        return Path(os.path.normpath(Path(way, frames_dir))).as_posix()

    return index.assign(frames_dir=index["frames_dir"].map(move))
