"""Reads face crops of `dfjax data extract`, one file per crop, with the interface of a pack."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import UInt8

from dfjax.data.faces.crop_check import check_crops
from dfjax.data.faces.crop_codec import decode_image
from dfjax.data.index.records import find_index, read_index
from dfjax.data.store.frame_store import CropStore
from dfjax.data.store.pack_builder import frame_paths
from dfjax.errors import InputError
from dfjax.files import read_bytes


@dataclasses.dataclass(eq=False)
class CropFiles(CropStore):
    """Crops that are image files, in the folder `path` of their index.

    Attributes:
        errors: Crops and videos that cannot be read. They are not in `index`.
    """

    errors: list[dict[str, str]]

    def __post_init__(self) -> None:
        """Prepares the file names of all crops."""
        super().__post_init__()
        self._files = [frame_paths(self.path, row) for row in self.index.itertuples()]

    def read(
        self, row: int, frame_numbers: Sequence[int] | np.ndarray
    ) -> UInt8[np.ndarray, "T S S 3"]:
        """Returns the RGB crops of the given source frames of video `row`, in the given order.

        Args:
            row: Position of the video in `index`.
            frame_numbers: T source frame numbers in any order.

        Raises:
            KeyError: A frame has no crop.
            InputError: A file cannot be read any more.
        """
        places = self.find_places(row, np.asarray(frame_numbers, np.int32))
        crops = np.empty((len(places), self.crop_size, self.crop_size, 3), np.uint8)
        for crop, place in zip(crops, places.tolist()):
            path = self._files[row][place]
            try:
                image = decode_image(read_bytes(path), most_pixels=self.crop_size**2)
            except OSError:
                image = None
            if image is None or image.shape != crop.shape:
                raise InputError(f"{path.name} is no longer a crop of {self.crop_size} px")
            cv2.cvtColor(image, cv2.COLOR_BGR2RGB, dst=crop)
        return crops


def open_crop_files(index: str | Path) -> CropFiles:
    """Returns the crops that an index names, after checking each file.

    Args:
        index: Index file, or the folder it is in.

    Raises:
        UsageError: There is no index, it names no readable crops, or their sizes differ.
    """
    path = find_index(index)
    kept, crop_size, errors = check_crops(read_index(path), path)
    return CropFiles(path.parent, kept, crop_size, errors)
