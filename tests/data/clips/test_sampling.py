"""Tests which frames of a video form a clip: strides, durations, padding and evaluation."""

import numpy as np
import pytest

from dfjax.data.clips import sampling as clips
from dfjax.data.clips.sampling import Sampling
from dfjax.errors import UsageError


def numbers(*values):
    return np.array(values, np.int32)


def every(step, n, first=0):
    return np.arange(first, first + step * n, step, dtype=np.int32)


def strided(frames, stride):
    return Sampling(frames, "stride", stride)


def even(frames):
    return Sampling(frames, "even", 0)


def lasting(frames, seconds, fps):
    return clips.for_video(Sampling(frames, f"duration:{seconds}", 0), float(fps), "v")


@pytest.mark.parametrize(
    "found, spacing",
    [
        (numbers(7), 0),
        (every(3, 5), 3),
        (numbers(0, 3, 9, 12), 3),  # one crop missing
        (numbers(0, 9, 19, 29), None),  # 32 frames spread over a video
    ],
)
def test_spacing(found, spacing):
    assert clips.find_spacing(found) == spacing


@pytest.mark.parametrize("found", [numbers(4), every(1, 30), every(3, 30), numbers(0, 3, 9)])
def test_a_stride_that_the_spacing_divides_is_fine(found):
    clips.check_stride(found, 3, "v")


@pytest.mark.parametrize(
    "found, says", [(every(2, 9), "every 2 source"), (numbers(0, 9, 19), "irregular")]
)
def test_an_impossible_stride_names_video_spacing_and_remedy(found, says):
    with pytest.raises(UsageError, match=says) as error:
        clips.check_stride(found, 3, "ffpp/x")
    assert "ffpp/x" in str(error.value)
    assert "every=3" in str(error.value) and "sampling=even" in str(error.value)


def test_starts_are_those_of_whole_clips():
    np.testing.assert_array_equal(clips.find_starts(every(1, 10), strided(3, 3)), range(4))
    np.testing.assert_array_equal(clips.find_starts(every(3, 5), strided(5, 3)), [0])


def test_stride_counts_source_frames_whatever_the_spacing():
    for step in (1, 2, 3, 6):
        got = clips.choose_frames(every(step, 60, first=7), strided(5, 6), offset=0.0)
        np.testing.assert_array_equal(got, [7, 13, 19, 25, 31])


def test_offset_reaches_every_start_equally_often():
    found, how = every(1, 12), strided(3, 2)
    starts = clips.find_starts(found, how)
    drawn = [clips.choose_frames(found, how, offset=u)[0] for u in (np.arange(80) + 0.5) / 80]
    values, counts = np.unique(drawn, return_counts=True)
    np.testing.assert_array_equal(values, starts)
    assert set(counts) == {10}


def test_a_gap_is_avoided_when_whole_clips_exist_and_shortens_one_otherwise():
    gap = numbers(0, 1, 2, 4, 5, 6, 7)
    np.testing.assert_array_equal(clips.find_starts(gap, strided(4, 1)), [4])
    np.testing.assert_array_equal(
        clips.choose_frames(numbers(0, 1, 3), strided(4, 1), offset=0.0), [0, 1, 3]
    )


def test_short_videos_give_what_they_have():
    how = strided(10, 3)
    np.testing.assert_array_equal(clips.choose_frames(every(1, 12), how, offset=0.0), [0, 3, 6, 9])
    np.testing.assert_array_equal(clips.choose_frames(numbers(5), how, offset=0.99), [5])
    np.testing.assert_array_equal(clips.choose_frames(numbers(5), even(10), offset=0.5), [5])
    np.testing.assert_array_equal(clips.choose_frames(numbers(2, 9), even(3), offset=0.0), [2, 9])


def test_even_takes_one_frame_from_each_part():
    found = every(1, 12)
    np.testing.assert_array_equal(clips.choose_frames(found, even(4), offset=0.0), [0, 3, 6, 9])
    np.testing.assert_array_equal(clips.choose_frames(found, even(4), offset=0.5), [1, 4, 7, 10])
    np.testing.assert_array_equal(clips.choose_frames(found, even(4), offset=0.99), [2, 5, 8, 11])
    for n in range(4, 40):
        for offset in (0.0, 0.37, 0.999):
            got = clips.choose_frames(every(5, n), even(4), offset=offset)
            assert len(np.unique(got)) == 4 and got[-1] >= 5 * (n * 3 // 4)


def test_a_partner_starts_as_near_as_it_can():
    how = strided(4, 1)
    assert clips.choose_frames(every(1, 20), how, offset=0.9, start=3)[0] == 3
    assert clips.choose_frames(every(1, 8), how, offset=0.0, start=15)[0] == 4


def starts_of(found, how, count):
    offsets = clips.spread_offsets(found, how, count)
    return [int(clips.choose_frames(found, how, offset=u)[0]) for u in offsets]


def test_evaluation_clips_are_spread_and_different():
    found, how = every(1, 21), strided(3, 1)  # starts 0 … 18
    assert starts_of(found, how, 1) == [9]
    assert starts_of(found, how, 3) == [0, 9, 18]
    assert starts_of(found, how, 99) == list(range(19))
    assert starts_of(numbers(4), how, 5) == [4]
    assert starts_of(found, even(5), 1) == [2]
    assert len(set(starts_of(found, even(5), 99))) == 4  # 21 frames hold 4 clips of 5


@pytest.mark.parametrize("n, step, how", [
    (40, 1, strided(10, 1)), (41, 1, strided(10, 1)), (30, 3, strided(4, 3)),
    (7, 1, strided(10, 1)), (40, 1, even(10)),
])  # fmt: skip
def test_all_clips_cover_the_video(n, step, how):
    found = every(step, n)
    seen = [clips.choose_frames(found, how, offset=u) for u in clips.spread_offsets(found, how, 0)]
    np.testing.assert_array_equal(np.unique(np.concatenate(seen)), found)
    assert sum(map(len, seen)) <= n + how.frames  # and hardly any frame is seen twice


def test_all_clips_with_a_wide_stride_span_the_video():
    assert starts_of(every(1, 300), strided(10, 3), 0) == [
        round(i * 272 / 9) for i in range(10)
    ]  # starts 0 … 272; 300 frames hold 10 clips of 30


@pytest.mark.parametrize("where, positions", [("end", [3, 6, -1, -1, -1]),
                                             ("centre", [-1, 3, 6, -1, -1])])  # fmt: skip
def test_padding(where, positions):
    position, mask = clips.pad(numbers(3, 6), strided(5, 3)._replace(pad=where), offset=0.7)
    np.testing.assert_array_equal(position, positions)
    np.testing.assert_array_equal(mask, np.array(positions) >= 0)


def test_padding_at_random_is_uniform_whatever_frames_were_chosen():
    how = strided(4, 3)._replace(pad="random")
    found = every(1, 9)  # starts 0, 1 and 2 have 3 frames each, 1 short of a clip
    offsets = np.random.default_rng(0).random(6000)
    counts = np.zeros((3, 2))
    for offset in offsets:
        frames = clips.choose_frames(found, how, offset=offset)
        _, mask = clips.pad(frames, how, offset=offset)
        assert mask.sum() == len(frames) == 3
        counts[frames[0], int(mask.argmax())] += 1
    np.testing.assert_allclose(counts / 6000, 1 / 6, atol=0.025)  # 5 standard deviations
    whole = clips.choose_frames(every(1, 30), how, offset=0.3)
    np.testing.assert_array_equal(clips.pad(whole, how, offset=0.3)[0], whole)


def test_evaluation_pads_nothing_at_random():
    how = strided(4, 3)
    assert clips.for_evaluation(how) == how
    assert clips.for_evaluation(how._replace(pad="random")).pad == "centre"


def test_a_duration_spans_as_many_seconds_whatever_the_frame_rate():
    for fps in (10, 25, 50):
        found = every(1, 10 * fps)
        got = clips.choose_frames(found, lasting(5, 2, fps), offset=0.0)
        np.testing.assert_allclose(got / fps, np.linspace(0, 2, 5), atol=0.5 / fps)
        late = clips.choose_frames(found, lasting(5, 2, fps), offset=0.999)
        assert late[0] == 8 * fps - 1 and late[-1] == found[-1]


def test_a_duration_takes_the_nearest_of_the_frames_that_there_are():
    found = every(3, 9)  # 0, 3, …, 24
    got = clips.choose_frames(found, lasting(4, 1, 10), offset=0.0)  # wanted: 0, 3.3, 6.7, 10
    np.testing.assert_array_equal(got, [0, 3, 6, 9])
    got = clips.choose_frames(found, lasting(9, 0.9, 10), offset=0.0)  # wanted every 1.1
    np.testing.assert_array_equal(got, [0, 3, 6, 9])  # each once, the rest is padding
    got = clips.choose_frames(found, lasting(4, 1, 10), offset=0.0, start=14)
    np.testing.assert_array_equal(got, [12, 15, 18, 21])  # from 15 on it would lack a frame's time


def test_a_video_shorter_than_the_duration_is_spread_whole():
    np.testing.assert_array_equal(
        clips.choose_frames(every(1, 10), lasting(4, 60, 25), offset=0.7), [0, 3, 6, 9]
    )
    np.testing.assert_array_equal(
        clips.choose_frames(numbers(5), lasting(4, 60, 25), offset=0.7), [5]
    )


def test_clips_of_a_duration_cover_the_video():
    found, how = every(1, 100), lasting(5, 1, 25)
    firsts = starts_of(found, how, 0)
    assert firsts[0] == 0 and firsts[-1] == 74 and len(firsts) == 4
    assert np.all(np.diff(firsts) <= 25)


@pytest.mark.parametrize(
    "kind", ["duration", "duration:", "duration:0", "duration:x", "durations:3"]
)
def test_a_duration_needs_seconds(kind):
    with pytest.raises(UsageError, match="for example duration:4"):
        clips.check_sampling(Sampling(4, kind, 1))


@pytest.mark.parametrize("fps", [None, float("nan"), 0.0])
def test_a_duration_needs_the_frame_rate(fps):
    with pytest.raises(UsageError, match="ffpp/x has none"):
        clips.for_video(Sampling(4, "duration:2", 1), fps, "ffpp/x")


@pytest.mark.parametrize(
    "sampling",
    [
        Sampling(10, "evn", 1),
        Sampling(0, "even", 1),
        Sampling(10, "stride", 0),
        Sampling(10, "even", 1, "start"),
    ],
)
def test_impossible_sampling_is_refused(sampling):
    with pytest.raises(UsageError):
        clips.check_sampling(sampling)
