"""Which `video_id`s can name folders of crops, without being mistaken for those of others."""

import re
from pathlib import PurePosixPath

_TAKEN = re.compile(r"(.*#[0-9]+|[0-9]{6,}\.jpg|faces\.json)_*", re.DOTALL)
"""Parts of an id that are also names of faces or of files of crops, and those that were changed."""


def names_folder(video_id: str) -> bool:
    """Returns whether an id is a path below a folder, so that the video's files can be there."""
    parts = PurePosixPath(video_id).parts
    return bool(parts) and ".." not in parts and parts[0] != "/" and "\0" not in video_id


def reserve_names(video_id: str) -> str:
    """Returns an id whose parts differ from the names that extraction gives to faces and files.

    Face 1 of the video `a` is the row `a#1` with crops in a folder of that name, and a folder of
    crops holds files such as `000001.jpg` and `faces.json`. A part of an id that looks like one of
    these gets a trailing underscore, and so does one that looks like such a part with underscores,
    so that different ids stay different.
    """
    return "/".join(f"{p}_" if _TAKEN.fullmatch(p) else p for p in video_id.split("/"))
