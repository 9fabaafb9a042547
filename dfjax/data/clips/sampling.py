"""Which frames of a video make a clip: pure functions of the frames that there are.

Frame numbers are those of the source video; `numbers` are the ones that a pack has, ascending.
A clip of T frames that finds fewer is padded, with pixels 0, mask False, position -1: at its `end`,
or on both sides with the frames at a `random` place, or in the `centre`.

Three ways to sample:

* `stride`: T frames, `stride` source frames apart, so that motion has one speed in all videos.
* `duration:SECONDS`: T frames spread over so many seconds, whatever the frame rate of a video.
* `even`: the video cut into T equal parts and one frame from each, so that a clip spans it all.
"""

import math
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int32

from dfjax.errors import UsageError, unknown

SAMPLING = ("stride", "even", "duration:SECONDS")
PAD = ("end", "random", "centre")
PADDING = -1
"""Position of a frame that is not there."""

Numbers = Int32[np.ndarray, "_"]


class Sampling(NamedTuple):
    """How clips are cut.

    Attributes:
        frames: T.
        kind: one of SAMPLING.
        stride: of `stride`, in source frames.
        pad: one of PAD, where the frames of a short clip stand.
        span: of `duration`, source frames from the first to the last of a clip, see `for_video`.
    """

    frames: int
    kind: str
    stride: int
    pad: str = "end"
    span: int = 0

    @property
    def by_duration(self) -> bool:
        """Whether clips have a duration in seconds."""
        return self.kind.startswith("duration")


def check_sampling(sampling: Sampling) -> None:
    """Raises a `UsageError` for an unknown name, no frames, no seconds, or a stride below 1."""
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
    """Returns the sampling of one video: `duration` has its span in that video's frames.

    Args:
        sampling: how clips are cut.
        fps: frames per second; None or not finite where that is not known.
        video_id: for the message.

    Raises:
        UsageError: `duration`, and a video whose frame rate is not known.
    """
    if not sampling.by_duration:
        return sampling
    if fps is None or not (math.isfinite(fps) and fps > 0):
        raise UsageError(
            f"data.sampling={sampling.kind} needs the frame rate of every video, {video_id} has "
            "none in the index; set data.sampling=even, or index the video files"
        )
    return sampling._replace(span=max(1, round(_seconds(sampling) * fps)))


def _seconds(sampling: Sampling) -> float:
    name, _, text = sampling.kind.partition(":")
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if name != "duration" or not (math.isfinite(seconds) and seconds > 0):
        raise UsageError(f"data.sampling={sampling.kind}: say how long, for example duration:4")
    return seconds


def find_spacing(numbers: Numbers) -> int | None:
    """Returns how many source frames lie between neighbours, or None when that is irregular.

    Frames missing from a regular grid do not make it irregular. A single frame has spacing 0.
    """
    if len(numbers) < 2:
        return 0
    steps = np.diff(numbers)
    spacing = int(steps.min())
    return spacing if not (steps % spacing).any() else None


def check_stride(numbers: Numbers, stride: int, video_id: str) -> None:
    """Raises a `UsageError` when the video's frames are too far apart, or irregular, for `stride`.

    Args:
        numbers: the frames that there are.
        stride: source frames from one frame of a clip to the next.
        video_id: for the message.
    """
    spacing = find_spacing(numbers)
    if spacing == 0 or (spacing and stride % spacing == 0):
        return
    found = f"every {spacing} source frames" if spacing else "at irregular distances"
    raise UsageError(
        f"data.stride={stride} is impossible: {video_id} has crops {found}. Extract with "
        f"every={stride} (or a divisor of {stride}), or set data.sampling=even"
    )


def find_starts(numbers: Numbers, sampling: Sampling) -> Numbers:
    """Returns the frames at which a clip may start, ascending; never empty.

    For `stride`: those from which the most frames of a clip exist, which is all T of them unless
    the video is too short or has gaps. For `duration`: those after which the video lasts as long as
    the clip. For `even`, and in a shorter video: the first frame only.
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
    """Returns the frames of one clip, ascending, at most T of them.

    Args:
        numbers: the frames that there are.
        sampling: how clips are cut.
        offset: in [0, 1). For `even`, the place within each of the T parts; else the place among
            `find_starts`.
        start: except for `even`, start as near to this source frame as possible instead.
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
    """The frames nearest to those wanted, each once."""
    after = np.searchsorted(numbers, wanted).clip(1, max(1, len(numbers) - 1))
    before = after - 1
    after = after.clip(max=len(numbers) - 1)
    nearer = np.where(wanted - numbers[before] <= numbers[after] - wanted, before, after)
    return numbers[np.unique(nearer)]


def choose_start(starts: Numbers, offset: float, near: int | None = None) -> int:
    """Returns one of `starts`: the one nearest to `near`, or the one at `offset` in [0, 1)."""
    if near is not None:
        return int(starts[np.abs(starts - near).argmin()])
    return int(starts[int(offset * len(starts))])


def spread_offsets(numbers: Numbers, sampling: Sampling, clips: int) -> Float[np.ndarray, "_"]:
    """Returns the offsets of the fixed clips that evaluation sees, all different clips.

    One clip is the middle one; more are spread evenly from the first possible to the last, and a
    short video has fewer. With 0, as many as it takes to cover the video from end to end.

    Args:
        numbers: the frames that there are.
        sampling: how clips are cut.
        clips: how many, or 0.
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
    """Returns the sampling without chance: what training pads at random is centred."""
    return sampling._replace(pad="centre") if sampling.pad == "random" else sampling


def pad(
    frames: Numbers, sampling: Sampling, *, offset: float
) -> tuple[Int32[np.ndarray, "T"], Bool[np.ndarray, "T"]]:
    """Returns the positions of a clip, filled up to T with PADDING, and its mask.

    Args:
        frames: of the clip, at most T.
        sampling: how clips are cut; its `pad` says where the frames stand.
        offset: in [0, 1), the clip's; `random` reads its low bits, of which the choice of frames
            knows nothing.
    """
    missing = sampling.frames - len(frames)
    chance = offset * 2**20 % 1.0
    before = {"end": 0, "random": int(chance * (missing + 1)), "centre": missing // 2}
    first = before[sampling.pad]
    position = np.full(sampling.frames, PADDING, np.int32)
    position[first : first + len(frames)] = frames
    return position, position != PADDING
