"""Tests windows over sequences: coverage, blending, flat memory, equality with one window."""

import numpy as np
import pytest

from dfjax.inference.restoring.windows import (
    cut_windows,
    restore_sequence,
    restore_sequences,
)


def make_crops(n):
    return [np.full((1, 1, 3), i, np.uint8) for i in range(n)]


@pytest.mark.parametrize("n", [1, 3, 4, 5, 6, 7, 8, 9, 50])
@pytest.mark.parametrize("overlap", [0, 1, 2])
@pytest.mark.parametrize("batch_size", [1, 3])
def test_every_frame_comes_out_once_and_in_order(n, overlap, batch_size):
    options = {"frames": 4, "overlap": overlap, "batch_size": batch_size}
    restored = list(restore_sequence(make_crops(n), lambda clips: clips + 1, **options))
    assert [float(crop[0, 0, 0]) for crop in restored] == [i + 1 for i in range(n)]


@pytest.mark.parametrize("batch_size", [1, 3, 8])
def test_several_sequences_share_batches_and_are_restored_as_each_alone(batch_size):
    lengths, sizes = [5, 1, 9, 4, 2], []

    def restore(clips):
        sizes.append(len(clips))
        # Depends on the whole window, so that another window would give another result
        return (clips + clips.astype(int).sum((1, 2, 3, 4), keepdims=True) % 7).astype(np.uint8)

    options = {"frames": 4, "overlap": 1, "batch_size": batch_size}
    sequences = ((number, make_crops(n)) for number, n in enumerate(lengths))
    together = dict(restore_sequences(sequences, restore, **options))
    calls = len(sizes)
    assert list(together) == [0, 1, 2, 3, 4] and set(sizes) == {batch_size}
    for number, n in enumerate(lengths):
        alone = list(restore_sequence(make_crops(n), restore, **options))
        np.testing.assert_array_equal(together[number], alone)
    windows = sum(len(list(cut_windows(make_crops(n), 4, 1))) for n in lengths)
    assert calls == -(-windows // batch_size)


def test_windows_are_full_and_the_last_one_moves_back():
    windows = list(cut_windows(make_crops(9), 4, 2))
    numbers = [window.clip[:, 0, 0, 0].tolist() for window in windows]
    assert numbers == [[0, 1, 2, 3], [2, 3, 4, 5], [4, 5, 6, 7], [5, 6, 7, 8]]
    assert [(window.skip, window.valid) for window in windows] == [(0, 4)] * 3 + [(1, 3)]
    (short,) = cut_windows(make_crops(2), 4, 2)
    assert short.clip[:, 0, 0, 0].tolist() == [0, 1, 1, 1] and short.valid == 2
    assert list(cut_windows([], 4, 2)) == []


def test_the_result_moves_linearly_from_one_window_to_the_next():
    numbers = iter([0, 90])
    restored = restore_sequence(
        make_crops(6), lambda clips: np.full_like(clips, next(numbers)), frames=4, overlap=2
    )
    assert [float(crop[0, 0, 0]) for crop in restored] == [0, 0, 30, 60, 90, 90]


def test_a_long_sequence_in_windows_equals_one_window():
    crops = np.random.default_rng(0).integers(0, 256, (40, 2, 2, 3), np.uint8)

    def invert(clips):
        return 255 - clips

    whole = np.stack(list(restore_sequence(crops, invert, frames=40, overlap=0)))
    parts = np.stack(list(restore_sequence(crops, invert, frames=6, overlap=3, batch_size=4)))
    np.testing.assert_array_equal(parts, whole)


def test_no_more_than_a_window_is_read_ahead():
    read = 0

    def count():
        nonlocal read
        for crop in make_crops(200):
            read += 1
            yield crop

    ahead = []
    for n, _ in enumerate(restore_sequence(count(), lambda clips: clips, frames=4, overlap=2)):
        ahead.append(read - n)
    assert max(ahead) <= 8


def test_an_overlap_above_half_a_window_is_refused():
    with pytest.raises(ValueError, match="overlap must be from 0 to 2, not 3"):
        next(restore_sequence(make_crops(9), lambda clips: clips, frames=4, overlap=3))
