"""The videos of a measurement: those that are given, or drawn ones."""

from collections.abc import Sequence
from pathlib import Path

from dfjax.data.synthetic.plan import make_plan
from dfjax.data.synthetic.samples import write_samples
from dfjax.inference.media import find_inputs

VIDEOS, PEOPLE = 24, 12  # a set whose test split has twice as many videos as are drawn
COUNT = 4
"""Number of its videos that are drawn; the default face detector finds a face in each."""


def find_or_draw(videos: Sequence[str | Path], folder: Path) -> list[Path]:
    """Returns the paths of videos and images; `COUNT` drawn videos if none are given.

    Args:
        videos: Videos, images and folders of them.
        folder: Folder that drawn videos are written into.

    Raises:
        UsageError: A path does not exist, or a folder has no videos or images.
    """
    if videos:
        return find_inputs([Path(video) for video in videos])
    return write_samples(folder, make_plan(VIDEOS, PEOPLE, 0), count=COUNT, seed=0)
