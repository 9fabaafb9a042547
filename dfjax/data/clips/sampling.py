"""Selects the frames of a clip, as a pure function of the frames that a video has.

Frames are identified by their number in the source video; `numbers` are those that a store has, in
ascending order. There are three kinds of sampling:

* `stride`: T frames that are `stride` source frames apart.
* `duration:SECONDS`: T evenly spaced frames over a number of seconds, which is independent of the
  video's frame rate.
* `even`: One frame from each of T equal parts of the video, so that a clip spans all of it.

A clip with fewer than T frames is padded with black frames of mask False and position -1. Its
frames are followed by the padding (`end`), in the middle of it (`centre`), or at a random position
in it (`random`).
"""

import math
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int32

from dfjax.errors import UsageError, unknown

LONGEST = 86_400.0  # seconds of a clip: a day
SAMPLING = ("stride", "even", "duration:SECONDS")
PAD = ("end", "random", "centre")
PADDING = -1
"""Position of a padding frame."""

Numbers = Int32[np.ndarray, "_"]


class Sampling(NamedTuple):
    """Settings of sampling.

    Attributes:
        frames: Number of frames per clip, T.
        kind: Kind of sampling, one of `SAMPLING`.
        stride: Number of source frames from one frame of a clip to the next, for `stride`.
        pad: Position of the frames in a clip that is too short, one of `PAD`.
        span: Number of source frames from the first to the last frame of a clip, for `duration`
            (see `for_video`).
    """

    frames: int
    kind: str
    stride: int
    pad: str = "end"
    span: int = 0

    @property
    def by_duration(self) -> bool:
        """Whether `kind` is `duration`."""
        return self.kind.startswith("duration")


def check_sampling(sampling: Sampling) -> None:
    """Checks the settings of sampling.

    Raises:
        UsageError: A name is unknown, or the frames, the seconds or the stride are not positive.
    """
    if sampling.by_duration:
        _seconds(sampling)
    elif sampling.kind not in SAMPLING:
        raise unknown("data.sampling", sampling.kind, SAMPLING)
    if sampling.pad not in PAD:
        raise unknown("data.pad", sampling.pad, PAD)
    if sampling.frames < 1:
        raise UsageError(f"data.frames must be at least 1, not {sampling.frames}")
    if sampling.kind == "stride" and sampling.stride < 1:
        raise UsageError(f"data.stride must be at least 1, not {sampling.stride}")


def for_video(sampling: Sampling, fps: float | None, video_id: str) -> Sampling:
    """Returns the sampling of one video, with `span` computed from its frame rate for `duration`.

    Args:
        sampling: Sampling of all videos.
        fps: Frames per second of the video, None or not finite if unknown.
        video_id: Id of the video, for the message.

    Raises:
        UsageError: The sampling is by duration and the frame rate is not known.
    """
    if not sampling.by_duration:
        return sampling
    if fps is None or not (math.isfinite(fps) and fps > 0):
        raise UsageError(
            f"data.sampling={sampling.kind} needs the frame rate of every video, but {video_id} "
            "has none in the index; set data.sampling=even, or index the video files"
        )
    return sampling._replace(span=max(1, round(_seconds(sampling) * fps)))


def _seconds(sampling: Sampling) -> float:
    name, _, text = sampling.kind.partition(":")
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if name != "duration" or not 0 < seconds <= LONGEST:
        raise UsageError(f"data.sampling={sampling.kind} needs seconds, for example duration:4")
    return seconds


def find_spacing(numbers: Numbers) -> int | None:
    """Returns the number of source frames from one frame to the next, or None if it varies.

    Frames that are missing from a regular grid are ignored. A single frame has spacing 0.

    Args:
        numbers: Available frames.
    """
    if len(numbers) < 2:
        return 0
    steps = np.diff(numbers)
    spacing = int(steps.min())
    return spacing if not (steps % spacing).any() else None


def check_stride(numbers: Numbers, stride: int, video_id: str) -> None:
    """Checks that frames of a video are `stride` source frames apart.

    Args:
        numbers: Available frames.
        stride: Number of source frames from one frame of a clip to the next.
        video_id: Id of the video, for the message.

    Raises:
        UsageError: The spacing of the frames varies, or does not divide `stride`.
    """
    spacing = find_spacing(numbers)
    if spacing == 0 or (spacing and stride % spacing == 0):
        return
    found = f"every {spacing} source frames" if spacing else "at irregular distances"
    raise UsageError(
        f"data.stride={stride} does not fit the crops of {video_id}, which are {found}; extract "
        f"with every={stride} (or a divisor of {stride}), or set data.sampling=even"
    )


def find_starts(numbers: Numbers, sampling: Sampling) -> Numbers:
    """Returns the frames at which a clip may start, at least one, in ascending order.

    For `stride`, these are the frames from which the largest number of frames of a clip exists,
    which is T unless the video is too short or frames are missing. For `duration`, these are the
    frames that are followed by the duration of a clip, or the first frame of a shorter video. For
    `even`, it is the first frame.

    Args:
        numbers: Available frames.
        sampling: Sampling of the video.
    """
    if sampling.kind == "even":
        return numbers[:1]
    if sampling.by_duration:
        starts = numbers[numbers <= numbers[-1] - sampling.span]
        return starts if len(starts) else numbers[:1]
    wanted = numbers[:, None] + sampling.stride * np.arange(sampling.frames)
    found = np.isin(wanted, numbers).sum(axis=1)
    return numbers[found == found.max()]


def choose_frames(
    numbers: Numbers, sampling: Sampling, *, offset: float, start: int | None = None
) -> Numbers:
    """Returns the frames of one clip, at most T, in ascending order.

    Args:
        numbers: Available frames.
        sampling: Sampling of the video.
        offset: Position in [0, 1): for `even`, within each of the T parts; otherwise, of the first
            frame among `find_starts`.
        start: Source frame. If it is given, the clip starts at the nearest possible frame, and
            `offset` is not used. It is ignored for `even`.
    """
    if sampling.kind == "even":
        n, t = len(numbers), sampling.frames
        if n <= t:
            return numbers
        return numbers[np.floor((np.arange(t) + offset) * (n / t)).astype(np.int64)]
    first = choose_start(find_starts(numbers, sampling), offset, start)
    if sampling.by_duration:
        last = min(first + sampling.span, int(numbers[-1]))
        return _nearest(numbers, np.linspace(first, last, sampling.frames))
    wanted = first + sampling.stride * np.arange(sampling.frames)
    return wanted[np.isin(wanted, numbers)].astype(np.int32)


def _nearest(numbers: Numbers, wanted: Float[np.ndarray, "T"]) -> Numbers:
    """Returns the available frames nearest to `wanted`, without duplicates."""
    after = np.searchsorted(numbers, wanted).clip(1, max(1, len(numbers) - 1))
    before = after - 1
    after = after.clip(max=len(numbers) - 1)
    nearer = np.where(wanted - numbers[before] <= numbers[after] - wanted, before, after)
    return numbers[np.unique(nearer)]


def choose_start(starts: Numbers, offset: float, near: int | None = None) -> int:
    """Returns one of several start frames.

    Args:
        starts: Possible start frames in ascending order.
        offset: Relative position among `starts`, in [0, 1).
        near: Source frame to which the nearest start is returned, or None to use `offset`.
    """
    if near is not None:
        return int(starts[np.abs(starts - near).argmin()])
    return int(starts[int(offset * len(starts))])


def spread_offsets(numbers: Numbers, sampling: Sampling, clips: int) -> Float[np.ndarray, "_"]:
    """Returns the offsets of the clips of evaluation, which all differ.

    A single clip is in the middle of the video. Several clips are spread evenly from the first to
    the last possible one. A short video has fewer clips than requested.

    Args:
        numbers: Available frames.
        sampling: Sampling of the video.
        clips: Number of clips; 0 takes as many as cover the video.
    """
    if sampling.kind == "even":
        possible = max(1, len(numbers) // sampling.frames)
        count = min(clips, possible) if clips else possible
        return (np.arange(count) + 0.5) / count
    possible = len(find_starts(numbers, sampling))
    count = clips
    if not clips:
        length = int(numbers[-1]) - int(numbers[0]) + 1
        covered = sampling.span or sampling.stride * sampling.frames
        count = math.ceil(length / covered)
    count = min(count, possible)
    if count == 1:
        return np.array([0.5])
    places = np.round(np.linspace(0, possible - 1, count))
    return (places + 0.5) / possible


def for_evaluation(sampling: Sampling) -> Sampling:
    """Returns the sampling for evaluation, in which padding at random becomes `centre`."""
    return sampling._replace(pad="centre") if sampling.pad == "random" else sampling


def pad(
    frames: Numbers, sampling: Sampling, *, offset: float
) -> tuple[Int32[np.ndarray, "T"], Bool[np.ndarray, "T"]]:
    """Returns the positions of a clip, padded to T frames with `PADDING`, and its mask.

    Args:
        frames: Frames of the clip, at most T.
        sampling: Sampling of the video; `pad` determines the position of the frames.
        offset: Offset of the clip, in [0, 1). Padding at `random` uses its low bits, which are
            independent of the choice of frames.
    """
    missing = sampling.frames - len(frames)
    chance = offset * 2**20 % 1.0
    before = {"end": 0, "random": int(chance * (missing + 1)), "centre": missing // 2}
    first = before[sampling.pad]
    position = np.full(sampling.frames, PADDING, np.int32)
    position[first : first + len(frames)] = frames
    return position, position != PADDING
