"""Reads `faces.json`, the file in the folder of a video's crops that marks them as complete."""

from pathlib import Path
from typing import Any

from dfjax.data.faces.landmarks import CROP_LANDMARKS
from dfjax.data.faces.quality import QUALITIES
from dfjax.json_files import read_mark

FACES_FILE = "faces.json"

_POINTS = ([([float], None)], None)
ROWS = [
    {
        **{"sha256": (str, None), "codec": (str, None), "frames_dir": str},
        **dict.fromkeys(("n_frames", "width", "height", "bitrate", "bytes"), (int, None)),
        **dict.fromkeys(("fps", "duration"), (float, None)),
        **{"frame_indices": [int], "face_found": [bool], "boxes": [[float]]},
        **{"landmarks": _POINTS, f"{CROP_LANDMARKS}?": _POINTS, "face?": int, "video_id?": str},
        **{"mask_dir?": str, "mask_indices?": [int]},
        **{f"{name}?": ([(float, None)], None) for name in QUALITIES.values()},
    }
]
"""Schema of the file: columns of the index, one row per face."""


def read_faces(folder: Path) -> list[dict[str, Any]] | None:
    """Returns the rows in the `faces.json` of a folder of crops.

    None stands for a file that is absent or damaged: the crops are then not complete.
    """
    known = {name.removesuffix("?") for name in ROWS[0]}
    rows = [
        {name: value for name, value in row.items() if name in known}
        for row in read_mark(folder / FACES_FILE, ROWS) or ()
    ]
    return rows if rows and all(map(_is_whole, rows)) else None


def _is_whole(row: dict[str, Any]) -> bool:
    """Returns whether every list of a row has one entry per crop, but for masks."""
    lists = [v for name, v in row.items() if isinstance(v, list) and name != "mask_indices"]
    return ("mask_dir" in row) == ("mask_indices" in row) and all(
        len(values) == len(row["frame_indices"]) > 0 for values in lists
    )
