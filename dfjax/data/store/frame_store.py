"""Base classes of the stores that hold the frames of videos, as pixels or as features."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pandas as pd
from jaxtyping import UInt8

from dfjax.errors import FileError


@dataclasses.dataclass(eq=False)
class FrameStore:
    """Frames of videos on disk.

    Rows are positions in `index`. Threads may share a store. A pickled copy opens the files again
    when it first reads.

    Attributes:
        content: Key of a batch under which the frames are stored, `clip` or `features`.
        path: Folder of the store.
        index: Index with one row per video.
        crop_size: Side of every crop in pixels, also if the store holds features of the crops.
        flow_stride: Number of source frames from the first to the second frame of each optical
            flow, or None without flow.
        has_masks: Whether any video has masks of its manipulation.
    """

    content: ClassVar[str]
    path: Path
    index: pd.DataFrame
    crop_size: int

    def __post_init__(self) -> None:
        """Prepares the frame numbers of all videos."""
        self._frames = [np.asarray(f, np.int32) for f in self.index["frame_indices"]]
        self.flow_stride: int | None = None
        self.has_masks = False

    def __getstate__(self) -> dict[str, Any]:
        """Returns the state to pickle, without open files."""
        return {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Restores a pickled state. Files are opened on the first read."""
        self.__dict__.update(state)
        self.__post_init__()

    def __len__(self) -> int:
        """Returns the number of videos."""
        return len(self._frames)

    def frame_numbers(self, row: int) -> np.ndarray:
        """Returns the source frame numbers stored for video `row`, in ascending order."""
        return self._frames[row]

    def empty(self, clips: int, frames: int) -> np.ndarray:
        """Returns clips of padding, zeros `[clips, frames, …]` with the dtype of `read`.

        Args:
            clips: Number of clips.
            frames: Number of frames per clip.
        """
        raise NotImplementedError

    def read(self, row: int, frame_numbers: Sequence[int] | np.ndarray) -> np.ndarray:
        """Returns the given source frames of video `row`, in the given order.

        Args:
            row: Position of the video in `index`.
            frame_numbers: Source frame numbers in any order.

        Raises:
            KeyError: A frame is not stored.
        """
        raise NotImplementedError

    def find_places(self, row: int, frame_numbers: np.ndarray) -> np.ndarray:
        """Returns the positions of the given source frames among those stored for video `row`.

        Args:
            row: Position of the video in `index`.
            frame_numbers: Source frame numbers in any order.

        Raises:
            KeyError: A frame is not stored.
        """
        have, wanted = self._frames[row], frame_numbers
        places = np.searchsorted(have, wanted)
        found = np.take(have, places, mode="clip") == wanted if len(have) else wanted < 0
        if not np.all(found):
            video, missing = self.index["video_id"].iloc[row], wanted[~found][0]
            raise KeyError(f"{self.path} has no frame {missing} of {video}")
        return places


class CropStore(FrameStore):
    """Base class of the stores that hold RGB face crops."""

    content = "clip"

    def empty(self, clips: int, frames: int) -> UInt8[np.ndarray, "B T S S 3"]:
        """Returns black clips, where S is `crop_size`.

        Args:
            clips: Number of clips, B.
            frames: Number of frames per clip, T.
        """
        return np.zeros((clips, frames, self.crop_size, self.crop_size, 3), np.uint8)


def check_places(index: pd.DataFrame, columns: Sequence[str], folder: Path) -> None:
    """Checks that the index of a store says where the frames of every video are.

    Args:
        index: Index of the store.
        columns: Columns that locate a video, whole numbers from 0 on.
        folder: Folder of the store, for the message.

    Raises:
        FileError: A value is missing or negative, or a video has no frame numbers.
    """
    for name in columns:
        if index[name].isna().any() or (index[name] < 0).any():
            raise FileError(f"the index of {folder} is damaged: {name} is missing or negative")
    if index["frame_indices"].isna().any():
        raise FileError(f"the index of {folder} is damaged: a video has no frame_indices")
