"""A store of face crops in memory, from which clips are cut as from a pack."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from jaxtyping import UInt8

from dfjax.data.store.frame_store import CropStore

Crops = UInt8[np.ndarray, "_ S S 3"]


@dataclasses.dataclass(eq=False)
class CropArrays(CropStore):
    """Face crops of videos in memory.

    Attributes:
        videos: Crops of each video, in the order of `frame_indices` of the index.
    """

    videos: Sequence[Crops]

    def read(
        self, row: int, frame_numbers: Sequence[int] | np.ndarray
    ) -> UInt8[np.ndarray, "T S S 3"]:
        """Returns the crops of the given source frames of video `row`, in the given order.

        Args:
            row: Position of the video in `index`.
            frame_numbers: T source frame numbers in any order.

        Raises:
            KeyError: A frame is not stored.
        """
        return self.videos[row][self.find_places(row, np.asarray(frame_numbers, np.int32))]


def make_crop_arrays(
    index: pd.DataFrame, numbers: Sequence[np.ndarray], videos: Sequence[Crops]
) -> CropArrays:
    """Returns a store of crops.

    Args:
        index: Index of the videos, one row each.
        numbers: Source frame numbers of the crops of each video, in ascending order.
        videos: Crops of each video.
    """
    frames = pd.Series(list(numbers), index=index.index, dtype=object)
    table = index.assign(frame_indices=frames).reset_index(drop=True)
    return CropArrays(Path("memory"), table, videos[0].shape[1], videos)
