"""Reads the clips of a batch: frames, positions, masks and labels."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from jaxtyping import Int8

from dfjax import FAKE, REAL
from dfjax.data.clips import sampling as clips
from dfjax.data.clips.batching import NO_SOURCE, Draw
from dfjax.data.clips.sampling import Sampling
from dfjax.data.faces.landmarks import count_landmarks, read_landmarks
from dfjax.data.store.frame_store import FrameStore
from dfjax.data.store.pack import Pack
from dfjax.shapes import HostBatch

UNKNOWN = -1
"""`method` of a clip whose method is not among the classes of the method loss."""


class ClipLoader:
    """Function that reads and decodes the clips of one batch. It can be pickled.

    A batch of stored features has `features f32[B,T,D]` instead of `clip`. With `methods`, the
    batch also has `method i8[B]` (see `number_methods`). For self-blending it has `blend bool[B]`
    and, if the index has landmarks, `landmarks f32[B,T,K,2]` in pixels of the crop, which are NaN
    for frames without landmarks. With `source`, it has `source u8[B,T,S,S,3]`, the same frames of
    the video that a generator is to restore. With `masks`, it has `region u8[B,T,S,S,1]`, 255 where
    a frame is manipulated, and `region_known bool[B]`. Both are those of the stored video: real
    clips have an empty region, and that of a fake is known if all of its frames have masks.
    """

    def __init__(
        self,
        pack: FrameStore,
        sampling: Sampling,
        flow: bool,
        methods: Sequence[str] = (),
        blend: bool = False,
        source: bool = False,
        masks: bool = False,
    ) -> None:
        """Prepares reading.

        Args:
            pack: Store of the frames.
            sampling: Sampling of clips.
            flow: Whether batches have optical flow.
            methods: Names of the classes of `method`, or none to leave it out.
            blend: Whether batches have `blend` and `landmarks`.
            source: Whether batches have `source`.
            masks: Whether batches have `region` and `region_known`.
        """
        self._source, self._masks = source, masks
        self._pack, self._sampling, self._flow, self._blend = pack, sampling, flow, blend
        self._landmarks = count_landmarks(pack.index) if blend else 0
        self._labels = pack.index["label"].to_numpy(np.int8)
        self._methods = number_methods(pack.index, methods) if methods else None

    def __call__(self, draws: Sequence[Draw | None]) -> HostBatch:
        """Returns the batch of some draws.

        Args:
            draws: Clips to read; None stands for padding, a black clip of weight 0.
        """
        batch = self._make_padding(len(draws))
        for place, draw in enumerate(draws):
            if draw is not None:
                self._load(draw, {name: array[place : place + 1] for name, array in batch.items()})
        return batch

    def _make_padding(self, n: int) -> HostBatch:
        t, size = self._sampling.frames, self._pack.crop_size
        batch = {
            self._pack.content: self._pack.empty(n, t),
            "mask": np.ones((n, t), bool),
            "position": np.full((n, t), clips.PADDING, np.int32),
            "label": np.zeros(n, np.int8),
            "weight": np.zeros(n, np.float32),
            "video_index": np.full(n, -1, np.int32),
        }
        if self._source:
            batch["source"] = self._pack.empty(n, t)
        if self._flow:
            batch["flow"] = np.zeros((n, t - 1, size, size, 2), np.float16)
        if self._masks:
            batch["region"] = np.zeros((n, t, size, size, 1), np.uint8)
            batch["region_known"] = np.zeros(n, bool)
        if self._methods is not None:
            batch["method"] = np.full(n, UNKNOWN, np.int8)
        if self._blend:
            batch["blend"] = np.zeros(n, bool)
        if self._landmarks:
            batch["landmarks"] = np.full((n, t, self._landmarks, 2), np.nan, np.float32)
        return batch

    def _load(self, draw: Draw, clip: HostBatch) -> None:
        """Fills in one clip, given as a view of the batch with length 1."""
        frames = self._choose_frames(draw)
        clip["position"][0], clip["mask"][0] = clips.pad(frames, self._sampling, offset=draw.offset)
        first = int(clip["mask"][0].argmax())
        last = first + len(frames)
        clip[self._pack.content][0, first:last] = self._pack.read(draw.row, frames)
        if self._source:
            shown = clip["clip"][0, first:last]
            other = draw.source != draw.row
            clip["source"][0, first:last] = self._pack.read(draw.source, frames) if other else shown
        if self._flow:
            assert isinstance(self._pack, Pack), "only packs have optical flow"
            clip["flow"][0, first : last - 1] = self._pack.read_flow(draw.row, frames)
        if self._masks:
            clip["region_known"][0] = self._load_region(
                draw.row, frames, clip["region"][0, first:last]
            )
        clip["label"][0] = FAKE if draw.blend else self._labels[draw.row]
        if self._methods is not None and not draw.blend:
            clip["method"][0] = self._methods[draw.row]
        if self._blend:
            clip["blend"][0] = draw.blend
        if self._landmarks:
            places = self._pack.find_places(draw.row, frames)
            points = read_landmarks(self._pack.index, draw.row, places, self._landmarks)
            clip["landmarks"][0, first:last] = points
        clip["weight"][0] = 1.0
        clip["video_index"][0] = draw.row

    def _load_region(self, row: int, frames: np.ndarray, out: np.ndarray) -> bool:
        """Fills in where frames are manipulated, and returns whether it is known."""
        if self._labels[row] == REAL:
            return True
        assert isinstance(self._pack, Pack), "only packs have masks"
        region = self._pack.read_region(row, frames)
        if region is not None:
            out[:] = region
        return region is not None

    def _choose_frames(self, draw: Draw) -> np.ndarray:
        numbers, sampling = self._sample_video(draw.row)
        if draw.source not in (NO_SOURCE, draw.row):
            numbers = np.intersect1d(numbers, self._pack.frame_numbers(draw.source))
        if draw.anchor == draw.row:
            return clips.choose_frames(numbers, sampling, offset=draw.offset)
        of_anchor, anchor_sampling = self._sample_video(draw.anchor)
        start = int(clips.choose_frames(of_anchor, anchor_sampling, offset=draw.offset)[0])
        return clips.choose_frames(numbers, sampling, offset=draw.offset, start=start)

    def _sample_video(self, row: int) -> tuple[np.ndarray, Sampling]:
        """Returns the frame numbers of a video and the sampling of its clips."""
        return self._pack.frame_numbers(row), video_sampling(self._pack, row, self._sampling)


def number_methods(index: pd.DataFrame, methods: Sequence[str]) -> Int8[np.ndarray, "N"]:
    """Returns the position of each video's method in `methods`, or -1 for other methods.

    Args:
        index: Index with one row per video.
        methods: Names of methods. The first one is the class of all real videos, whatever their
            method is called.
    """
    places = pd.Index(methods).get_indexer(index["method"])
    return np.where(index["label"] == REAL, 0, places).astype(np.int8)


def video_sampling(pack: FrameStore, row: int, sampling: Sampling) -> Sampling:
    """Returns the sampling of the clips of one video (see `sampling.for_video`).

    Args:
        pack: Store that holds the video.
        row: Row of the video in `pack.index`.
        sampling: Sampling of all videos.

    Raises:
        UsageError: The sampling is by duration and the frame rate of the video is not known.
    """
    if not sampling.by_duration:
        return sampling
    video = pack.index.iloc[row]
    return clips.for_video(sampling, float(video["fps"]), video["video_id"])
