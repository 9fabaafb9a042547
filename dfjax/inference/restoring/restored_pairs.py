"""Restores the fakes of a split beside their real videos, for measurements on whole videos."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import pandas as pd

from dfjax.console import track
from dfjax.data.clips.pairs import find_targets
from dfjax.data.store.frame_store import FrameStore
from dfjax.evaluation.metrics.restoration_metrics import match_histogram
from dfjax.experiment import run_data
from dfjax.inference.restoring.restore_file import Restorer
from dfjax.inference.restoring.restored_videos import Crops, RestoredVideo, restore_videos

PART_BYTES = 2**27  # of the fakes that are held together


class PairedVideos(NamedTuple):
    """Fakes, their real videos and the baselines, which are held in memory together.

    Attributes:
        index: Rows of the fakes.
        real_ids: Ids of their real videos.
        numbers: Numbers of the frames of each pair.
        arms: Crops of these frames in every arm, and the real ones.
    """

    index: pd.DataFrame
    real_ids: list[str]
    numbers: list[np.ndarray]
    arms: dict[str, list[Crops]]


def restore_pairs(generator: Restorer, data: FrameStore, split: str) -> Iterator[PairedVideos]:
    """Yields the pairs of a fake and its real video of a split, with their crops.

    Args:
        generator: Generator that restores the fakes.
        data: Store of the crops.
        split: Name of the split.

    Raises:
        UsageError: The split has no pairs.
    """
    pairs = find_targets(data.index, run_data.split_rows(data, generator.config, split))
    pairs = pairs[pairs[:, 0] != pairs[:, 1]]
    reals, fakes = pairs.T.tolist()
    numbers = data.frame_numbers
    frames = [np.intersect1d(numbers(real), numbers(fake)) for real, fake in zip(reals, fakes)]
    videos = restore_videos(data, zip(fakes, frames), generator)
    shown = track(videos, total=len(pairs), what="restoring")
    part: list[tuple[int, RestoredVideo]] = []
    size = 0
    for video, real in zip(shown, reals):
        part.append((real, video))
        size += video.crops.nbytes
        if size > PART_BYTES:
            yield _collect(data, part)
            part, size = [], 0
    if part:
        yield _collect(data, part)


def _collect(data: FrameStore, part: list[tuple[int, RestoredVideo]]) -> PairedVideos:
    real = [data.read(row, video.numbers) for row, video in part]
    videos = [video for _, video in part]
    arms = {
        "unchanged": [video.crops for video in videos],
        "histogram": [match_frames(video.crops, crops) for video, crops in zip(videos, real)],
        "restored": [video.restored for video in videos],
        "real": real,
    }
    ids = data.index["video_id"].to_numpy()
    return PairedVideos(
        data.index.iloc[[video.row for video in videos]],
        [ids[row] for row, _ in part],
        [video.numbers for video in videos],
        arms,
    )


def match_frames(crops: Crops, targets: Crops) -> Crops:
    """Returns crops each of which has the histogram of its target."""
    return np.stack([match_histogram(crop, target) for crop, target in zip(crops, targets)])
