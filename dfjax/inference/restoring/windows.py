"""Restores a sequence of any length in windows of the generator's length, blended where they meet.

Crops come in and go out one at a time, and the memory in use does not depend on their number.
"""

import itertools
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

import numpy as np
from jaxtyping import Float32, UInt8

Clips = UInt8[np.ndarray, "N T H W 3"]
Restore = Callable[[Clips], Clips]
"""Function that restores clips, such as a trained generator."""

Restored = Float32[np.ndarray, "H W 3"]


class Window(NamedTuple):
    """A clip of a sequence.

    Attributes:
        clip: Frames of the clip.
        skip: Number of leading frames that only give context, because earlier windows restore them.
        valid: Number of frames after these that belong to the sequence; the others are padding.
    """

    clip: UInt8[np.ndarray, "T H W 3"]
    skip: int
    valid: int


def restore_sequence(
    crops: Iterable[UInt8[np.ndarray, "H W 3"]],
    restore: Restore,
    *,
    frames: int,
    overlap: int,
    batch_size: int = 1,
) -> Iterator[Restored]:
    """Yields the restored crops of a sequence, in order.

    Args:
        crops: Crops of one face in temporal order.
        restore: Function that restores clips.
        frames: Number of frames of its clips.
        overlap: Number of frames that two windows share, at most half of `frames`. There the result
            moves linearly from the earlier window to the later one.
        batch_size: Number of clips that are restored at a time.

    Raises:
        ValueError: `overlap` is negative or too large.
    """
    _check(frames, overlap)
    windows = ((0, window) for window in cut_windows(crops, frames, overlap))
    restored = _restore(windows, restore, batch_size)
    yield from _blend((pair[1:] for pair in restored), frames, overlap)


def restore_sequences(
    sequences: Iterable[tuple[int, Iterable[UInt8[np.ndarray, "H W 3"]]]],
    restore: Restore,
    *,
    frames: int,
    overlap: int,
    batch_size: int = 1,
) -> Iterator[tuple[int, list[Restored]]]:
    """Yields the restored crops of several sequences, in order; a batch may hold several of them.

    Args:
        sequences: Sequences of crops of one size, none empty, each with a number of its own.
        restore: Function that restores clips.
        frames: Number of frames of its clips.
        overlap: Number of frames that two windows of a sequence share.
        batch_size: Number of clips that are restored at a time.

    Raises:
        ValueError: `overlap` is negative or too large.
    """
    _check(frames, overlap)
    windows = (
        (number, window)
        for number, crops in sequences
        for window in cut_windows(crops, frames, overlap)
    )
    restored = _restore(windows, restore, batch_size)
    for number, group in itertools.groupby(restored, key=lambda item: item[0]):
        yield number, list(_blend((item[1:] for item in group), frames, overlap))


def _check(frames: int, overlap: int) -> None:
    if not 0 <= overlap <= frames // 2:
        raise ValueError(f"overlap must be from 0 to {frames // 2}, not {overlap}")


def _blend(
    windows: Iterable[tuple[Window, UInt8[np.ndarray, "T H W 3"]]], frames: int, overlap: int
) -> Iterator[Restored]:
    """Yields the crops of a sequence from its restored windows."""
    hop = frames - overlap
    pending: Float32[np.ndarray, "t H W 3"] | None = None  # shared with the following window
    for window, restored in windows:
        new = restored[window.skip : window.skip + window.valid].astype(np.float32)
        if pending is not None and (shared := len(pending)):
            share = np.arange(1, shared + 1, dtype=np.float32)[:, None, None, None] / (overlap + 1)
            new[:shared] = pending + share * (new[:shared] - pending)
        yield from new[:hop]
        pending = new[hop:]
    yield from pending if pending is not None else ()


def cut_windows(
    crops: Iterable[UInt8[np.ndarray, "H W 3"]], frames: int, overlap: int
) -> Iterator[Window]:
    """Yields the windows of a sequence.

    The last one is moved back until it is full. A sequence shorter than a window is padded with its
    last frame.

    Args:
        crops: Crops in temporal order.
        frames: Number of frames of a window.
        overlap: Number of frames that two windows share.
    """
    held: list[np.ndarray] = []
    start, total = 0, 0  # of the next window, and number of crops so far
    for crop in crops:
        held.append(crop)
        total += 1
        if total == start + frames:
            held = held[-frames:]
            yield Window(np.stack(held), 0, frames)
            start += frames - overlap
    if total > (start + overlap if start else 0):
        clip = held[-frames:]
        skip = max(0, start - (total - len(clip)))
        padding = [clip[-1]] * (frames - len(clip))
        yield Window(np.stack(clip + padding), skip, total - start)


def _restore(
    windows: Iterator[tuple[int, Window]], restore: Restore, batch_size: int
) -> Iterator[tuple[int, Window, UInt8[np.ndarray, "T H W 3"]]]:
    """Yields the windows with their restored clips; a smaller batch is filled with its last."""
    while batch := list(itertools.islice(windows, batch_size)):
        clips = [window.clip for _, window in batch]
        clips += clips[-1:] * (batch_size - len(clips))
        for (number, window), restored in zip(batch, restore(np.stack(clips))):
            yield number, window, restored
