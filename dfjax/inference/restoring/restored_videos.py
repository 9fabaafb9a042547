"""Restores whole videos of a pack, as `dfjax defake` restores those of files."""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np
from jaxtyping import Int, UInt8

from dfjax.data.store.frame_store import FrameStore
from dfjax.inference.restoring.restore_file import Restorer
from dfjax.inference.restoring.windows import restore_sequences

Crops = UInt8[np.ndarray, "N H W 3"]


class RestoredVideo(NamedTuple):
    """The face crops of a video, before and after restoration.

    Attributes:
        row: Row of the video in the index.
        numbers: Numbers of its frames.
        crops: Crops of these frames.
        restored: The crops, restored.
    """

    row: int
    numbers: Int[np.ndarray, "N"]
    crops: Crops
    restored: Crops


def restore_videos(
    data: FrameStore,
    videos: Iterable[tuple[int, Int[np.ndarray, "N"]]],
    generator: Restorer,
) -> Iterator[RestoredVideo]:
    """Yields restored videos, in order.

    Each is restored in windows of the generator's length, a quarter of which two windows share.
    A batch holds windows of several videos, so that short videos leave no part of it empty.

    Args:
        data: Store of the crops.
        videos: Row of each video, and the numbers of its frames that are restored, at least one.
        generator: Generator that restores clips.
    """
    frames = generator.config.data.frames
    waiting: dict[int, tuple[int, np.ndarray, np.ndarray]] = {}

    def read() -> Iterator[tuple[int, np.ndarray]]:
        for place, (row, numbers) in enumerate(videos):
            waiting[place] = (row, numbers, data.read(row, numbers))
            yield place, waiting[place][-1]

    sequences = restore_sequences(
        read(),
        generator.restore,
        frames=frames,
        overlap=frames // 4,
        batch_size=generator.config.eval.batch_size,
    )
    for place, restored in sequences:
        yield RestoredVideo(*waiting.pop(place), to_crops(restored))


def to_crops(restored: Iterable[np.ndarray]) -> Crops:
    """Returns restored crops as pixels, rounded to the nearest."""
    return np.clip(np.rint(np.stack(list(restored))), 0, 255).astype(np.uint8)
