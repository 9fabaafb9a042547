"""What everything that holds the frames of videos, as pixels or as features, has in common."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pandas as pd


@dataclasses.dataclass(eq=False)
class FrameStore:
    """Frames of videos on disk.

    Rows are positions in `index`. Threads may share a store; a pickled copy opens the files again
    when it first reads.

    Attributes:
        content: what a batch calls what is read: `clip` or `features`.
        path: the folder.
        index: one row per video.
        crop_size: side in pixels of every crop, also where only features of them are kept.
        flow_stride: source frames from one frame of a flow to the other, None without flow.
    """

    content: ClassVar[str]
    path: Path
    index: pd.DataFrame
    crop_size: int

    def __post_init__(self) -> None:
        """Looks up once what every read needs."""
        self._frames = [np.asarray(f, np.int32) for f in self.index["frame_indices"]]
        self.flow_stride: int | None = None

    def __getstate__(self) -> dict[str, Any]:
        """Returns what a pickle holds: everything but the open files."""
        return {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Restores a pickle; files are opened when first read."""
        self.__dict__.update(state)
        self.__post_init__()

    def __len__(self) -> int:
        """Returns the number of videos."""
        return len(self._frames)

    def frame_numbers(self, row: int) -> np.ndarray:
        """Returns the source frame numbers that there are of video `row`, ascending."""
        return self._frames[row]

    def empty(self, clips: int, frames: int) -> np.ndarray:
        """Returns what padding is made of: zeros `[clips, frames, …]` of what `read` returns."""
        raise NotImplementedError

    def read(self, row: int, frame_numbers: Sequence[int] | np.ndarray) -> np.ndarray:
        """Returns the given source frames of video `row`, in the order asked.

        Raises:
            KeyError: one of them is not there.
        """
        raise NotImplementedError

    def find_places(self, row: int, frame_numbers: np.ndarray) -> np.ndarray:
        """Returns where the given source frames stand among those of video `row`.

        Raises:
            KeyError: one of them is not there.
        """
        have, wanted = self._frames[row], frame_numbers
        places = np.searchsorted(have, wanted)
        found = np.take(have, places, mode="clip") == wanted if len(have) else wanted < 0
        if not np.all(found):
            video, missing = self.index["video_id"].iloc[row], wanted[~found][0]
            raise KeyError(f"{self.path} has no frame {missing} of {video}")
        return places
