"""Cuts the manipulation mask of a video like its face crops, to `OUT/masks/VIDEO_ID/%06d.png`.

Masks are those that the data set publishes (`mask_path` of the index). They are stored as gray PNG:
255 where the frame is manipulated.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from jaxtyping import UInt8

from dfjax.data.faces.crops import Cutting, FaceCrops, FacePath, cut_faces
from dfjax.data.faces.images import Frame
from dfjax.data.faces.manipulation_mask import read_to_end
from dfjax.data.faces.video import iterate_frames
from dfjax.errors import InputError
from dfjax.outputs import check_inside

MASK_ERROR = "mask_error"
"""Key beside the columns of a video's first row: why its mask cannot be read."""

Mask = UInt8[np.ndarray, "S S"]
Fields = dict[str, Any]


def write_masks(
    path: Path,
    indices: Sequence[int],
    faces: Sequence[FaceCrops],
    rows: Sequence[Fields],
    how: Cutting,
    out: Path,
) -> None:
    """Writes the masks of the crops of a video, and adds the columns of masks to its rows.

    These are `mask_dir` and `mask_indices`, the frames that have a mask. If the mask cannot be read
    they are not added, and the first row gets the reason as `MASK_ERROR`.

    Args:
        path: Mask, a video or an image.
        indices: Source frame numbers in which the faces were searched.
        faces: Crops of each face.
        rows: Columns of the row of each face; `frames_dir` is `crops/…`.
        how: Settings of cropping.
        out: Folder of the extraction.

    Raises:
        InputError: A link leads out of `out`.
    """
    shape = rows[0]["height"], rows[0]["width"]
    try:
        masks = crop_masks(path, indices, faces, how, shape)
    except InputError as error:
        rows[0][MASK_ERROR] = f"its mask {path.name} cannot be read: {error}"
        return
    for row, found in zip(rows, masks):
        place = _find_place(row)
        there = [frame for frame in row["frame_indices"] if frame in found]
        check_inside(out / place, out)
        _clear(out / place)
        for frame in there:
            data = cv2.imencode(".png", found[frame])[1].tobytes()
            (out / place / f"{frame:06d}.png").write_bytes(data)
        row |= {"mask_dir": place, "mask_indices": there}


def are_complete(out: Path, row: Fields) -> bool:
    """Returns whether a row has masks, and all of them are on disk.

    Args:
        out: Folder of the extraction.
        row: Columns of the row of a face.
    """
    place = out / _find_place(row)
    if row.get("mask_dir") != _find_place(row) or not place.is_dir():
        return False
    names = {path.name for path in place.iterdir()}
    return all(f"{frame:06d}.png" in names for frame in row["mask_indices"])


def _find_place(row: Fields) -> str:
    """Returns the folder of the masks of a row with `frames_dir`, relative to that of the index."""
    return Path("masks", Path(row["frames_dir"]).relative_to("crops")).as_posix()


def crop_masks(
    path: Path,
    indices: Sequence[int],
    faces: Sequence[FaceCrops],
    how: Cutting,
    shape: tuple[int, int],
) -> list[dict[int, Mask]]:
    """Returns the crops of a mask by frame number, for each face.

    A mask of another size than the frames is resized to theirs. Frames beyond the end of the mask
    are left out.

    Args:
        path: Mask, a video or an image.
        indices: Source frame numbers in which the faces were searched.
        faces: Crops of each face, whose boxes are used.
        how: Settings of cropping.
        shape: Height and width of the frames.

    Raises:
        InputError: The mask cannot be read.
    """

    def crop(there: list[int]) -> list[dict[int, Mask]]:
        seen = [number for number, face in enumerate(faces) if face.first < len(there)]
        paths = [
            FacePath(face.boxes, face.found, face.fallback, face.landmarks, first=face.first)
            for face in (faces[number] for number in seen)
        ]
        found: list[dict[int, Mask]] = [{} for _ in faces]
        for number, cut in zip(seen, cut_faces(_read_frames(path, there, shape), paths, how)):
            masks = [cv2.cvtColor(crop, cv2.COLOR_RGB2GRAY) for crop in cut.crops]
            found[number] = dict(zip(there[cut.first :], masks))
        return found

    return read_to_end(path, indices, crop)


def _read_frames(path: Path, indices: Sequence[int], shape: tuple[int, int]) -> Iterator[Frame]:
    """Yields the frames of a mask in the size of those of the video."""
    for frame in iterate_frames(path, indices):
        same = frame.shape[:2] == shape
        yield frame if same else cv2.resize(frame, shape[::-1], interpolation=cv2.INTER_LINEAR)


def _clear(folder: Path) -> None:
    """Removes the masks of an earlier call; the folder may hold those of other videos."""
    folder.mkdir(parents=True, exist_ok=True)
    for stale in folder.glob("*.png"):
        stale.unlink()
