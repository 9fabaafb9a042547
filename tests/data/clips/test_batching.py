"""Tests which videos the batches of an epoch hold: pairing, balance, self-blending and mining."""

from collections import Counter

import numpy as np
import pandas as pd
import pytest

from dfjax.data.clips.batching import EpochOptions, Sampler
from dfjax.data.clips.pairs import find_pairs, find_targets
from dfjax.errors import UsageError

# rows 0-3 real, 4-10 fakes: three of r0, two of r1, one of r2, one of a video not in the table
IDS = ["r0", "r1", "r2", "r3", "f4", "f5", "f6", "f7", "f8", "f9", "f10"]
PARTNER = dict(f4="r0", f5="r0", f6="r0", f7="r1", f8="r1", f9="r2", f10="gone")
INDEX = pd.DataFrame(
    {
        "video_id": IDS,
        "label": [int(i.startswith("f")) for i in IDS],
        "pair_id": [PARTNER.get(i) for i in IDS],
    }
)
ROWS = np.arange(len(IDS))


def make(pairing, batch_size=4, seed=0, rows=ROWS, index=INDEX, losses=None, **more):
    return Sampler(index, rows, EpochOptions(pairing, batch_size, seed, **more), losses)


def epoch_of(sampler, epoch=0, batch_size=4):
    first = epoch * sampler.batches
    return [
        [sampler.draw(first + k, place) for place in range(batch_size)]
        for k in range(sampler.batches)
    ]


def test_without_pairing_every_video_comes_once_and_the_last_batch_is_filled():
    sampler = make("none")
    draws = sum(epoch_of(sampler), [])
    assert sampler.batches == 3
    assert sorted(d.row for d in draws[:11]) == ROWS.tolist()
    assert draws[11].row in ROWS
    assert all(d.anchor == d.row for d in draws)


def test_an_epoch_of_several_clips_of_a_video_has_them_at_places_of_their_own():
    sampler = make("none", clips=3)
    draws = sum(epoch_of(sampler), [])[:33]
    assert sampler.batches == 9
    assert set(Counter(d.row for d in draws).values()) == {3}
    assert len({d.offset for d in draws}) == 33
    assert make("paired", clips=2).batches == 2 * make("paired").batches == 6


def test_fewer_videos_than_a_batch_repeat():
    sampler = make("none", batch_size=8, rows=ROWS[:3])
    counts = Counter(d.row for d in epoch_of(sampler, batch_size=8)[0])
    assert sampler.batches == 1 and sorted(counts.values()) == [2, 3, 3]


def test_auto_is_paired_where_there_are_pairs_and_balanced_elsewhere():
    assert epoch_of(make("auto")) == epoch_of(make("paired"))
    without = INDEX.assign(pair_id=None)
    assert epoch_of(make("auto", index=without)) == epoch_of(make("balanced", index=without))


def test_balanced_batches_are_half_real_and_the_smaller_class_repeats_evenly():
    sampler = make("balanced")
    batches = epoch_of(sampler)
    assert len(batches) == 4  # 7 fakes, 2 a batch
    for batch in batches:
        assert [INDEX["label"][d.row] for d in batch] == [0, 1, 0, 1]
    draws = sum(batches, [])
    assert set(Counter(d.row for d in draws if d.row < 4).values()) == {2}
    assert {d.row for d in draws} == set(ROWS)


def test_an_epoch_of_pairs_is_every_fake_once_beside_its_own_real():
    sampler = make("paired")
    draws = sum(epoch_of(sampler), [])
    assert sampler.batches == 3
    for real, fake in zip(draws[::2], draws[1::2]):
        assert PARTNER[IDS[fake.row]] == IDS[real.row]
        assert fake.anchor == real.anchor == real.row and fake.offset == real.offset
    assert Counter(d.row for d in draws[1::2]) == dict.fromkeys(range(4, 10), 1)


def test_pairs_keep_inside_the_rows_given_and_say_who_is_alone():
    pairs = find_pairs(INDEX, ROWS)
    assert pairs.alone.tolist() == [3, 10]
    pairs = find_pairs(INDEX, np.array([0, 4, 7, 9]))
    assert (pairs.real.tolist(), pairs.fake.tolist(), pairs.alone.tolist()) == ([0], [4], [7, 9])


@pytest.mark.parametrize("pairing", ["none", "balanced", "paired"])
def test_draws_depend_on_seed_and_number_only(pairing):
    straight, random_access = make(pairing), make(pairing)
    numbers = list(range(3 * straight.batches))
    expected = {k: [straight.draw(k, p) for p in range(4)] for k in numbers}
    for k in np.random.default_rng(1).permutation(numbers).tolist():
        assert [random_access.draw(k, p) for p in range(4)] == expected[k]
    other = make(pairing, seed=1)
    assert [[other.draw(k, p) for p in range(4)] for k in numbers] != list(expected.values())


def test_epochs_differ_and_offsets_are_uniform():
    sampler = make("none", batch_size=11)
    epochs = [[sampler.draw(k, p) for p in range(11)] for k in range(200)]
    assert len({tuple(d.row for d in e) for e in epochs}) == 200
    offsets = np.array([d.offset for e in epochs for d in e])
    assert 0 <= offsets.min() and offsets.max() < 1
    assert abs(offsets.mean() - 0.5) < 4 / np.sqrt(12 * offsets.size)


# ten videos of two data sets: big has reals 0-3 and fakes 4-7, small real 8 and fake 9
TWO = pd.DataFrame(
    {
        "video_id": [f"v{k}" for k in range(10)],
        "label": [0, 0, 0, 0, 1, 1, 1, 1, 0, 1],
        "pair_id": [*[None] * 4, "v0", "v1", "v2", "v3", None, "v8"],
        "dataset": ["big"] * 8 + ["small"] * 2,
    }
)


@pytest.mark.parametrize("pairing", ["none", "balanced", "paired"])
def test_balanced_data_sets_come_equally_often_within_each_class(pairing):
    rows = np.arange(10)
    sampler = make(pairing, rows=rows, index=TWO, balance_datasets=True)
    assert sampler.batches == 4
    batches = epoch_of(sampler)
    for batch in batches:
        kinds = Counter((TWO["dataset"][d.row], TWO["label"][d.row]) for d in batch)
        if pairing == "none":  # classes are not balanced then
            assert sum(n for (dataset, _), n in kinds.items() if dataset == "small") == 2
        else:
            assert set(kinds.values()) == {1} and len(kinds) == 4
    assert {d.row for d in sum(batches, [])} == set(range(10))


@pytest.mark.parametrize("pairing", ["none", "balanced", "paired"])
def test_a_share_of_the_fakes_is_real_videos_to_be_blended(pairing):
    plain, sampler = make(pairing), make(pairing, self_blend=0.5)
    assert sampler.batches == plain.batches
    draws, before = sum(epoch_of(sampler), []), sum(epoch_of(plain), [])
    fakes = [k for k, d in enumerate(before) if INDEX["label"][d.row]]
    blended = [k for k, d in enumerate(draws) if d.blend]
    assert set(blended) < set(fakes) and len(blended) == round(0.5 * len(fakes))
    for k, (draw, old) in enumerate(zip(draws, before)):
        if not draw.blend:
            assert draw == old
            continue
        assert INDEX["label"][draw.row] == 0 and draw.offset == old.offset
        assert draw.row == draw.anchor
        if pairing == "paired":  # the pair's own real, at the same start
            assert draw.row == draws[k - 1].row and draw.offset == draws[k - 1].offset


@pytest.mark.parametrize("pairing", ["balanced", "paired"])
def test_with_nothing_but_blended_fakes_reals_are_enough(pairing):
    sampler = make(pairing, rows=ROWS[:4], self_blend=1.0)
    draws = sum(epoch_of(sampler), [])
    assert sampler.batches == 2  # every real once, and once blended
    assert [d.blend for d in draws] == [False, True] * 4
    for part in (draws[::2], draws[1::2]):
        assert sorted(d.row for d in part) == [0, 1, 2, 3]
    if pairing == "paired":
        assert all(a.row == b.row and a.offset == b.offset for a, b in zip(draws[::2], draws[1::2]))


def test_blended_reals_are_balanced_over_data_sets():
    sampler = make("balanced", rows=np.arange(10), index=TWO, balance_datasets=True, self_blend=1.0)
    draws = sum(epoch_of(sampler), [])
    blended = Counter(TWO["dataset"][d.row] for d in draws if d.blend)
    assert blended == {"big": 4, "small": 4}


def test_mining_draws_hard_videos_more_often_within_their_class():
    losses = np.full(11, 0.2)
    losses[[1, 5]] = [3.4, 2.6]  # mean 1.0 of the reals, 3.8 / 7 of the fakes
    sampler = make("balanced", batch_size=28, losses=losses, hard_mining=1.0)
    (batch,) = epoch_of(sampler, batch_size=28)
    assert [INDEX["label"][d.row] for d in batch] == [0, 1] * 14
    counts = np.bincount([d.row for d in batch], minlength=11)
    real, fake = 14 * losses[:4] / 4.0, 14 * losses[4:] / 3.8
    assert (np.abs(counts - np.concatenate([real, fake])) < 1).all()


def test_a_pair_is_as_hard_as_its_harder_clip():
    losses = np.full(11, 0.1)
    losses[[2, 7]] = 1.6  # of pairs (2, 9) and (1, 7): 3.2 of 3.6 in all
    sampler = make("paired", batch_size=36, losses=losses, hard_mining=1.0)
    (batch,) = epoch_of(sampler, batch_size=36)
    counts = Counter(d.row for d in batch[1::2])
    assert counts == {9: 8, 7: 8, **{row: n for row, n in counts.items() if row not in (7, 9)}}


def test_mining_is_a_function_of_seed_epoch_and_losses():
    losses = np.linspace(0, 1, 11)
    a, b = (make("balanced", losses=losses, hard_mining=0.5) for _ in range(2))
    assert epoch_of(a, 3) == epoch_of(b, 3) != epoch_of(a, 4)
    other = make("balanced", losses=losses[::-1].copy(), hard_mining=0.5)
    assert epoch_of(other, 3) != epoch_of(a, 3)
    unknown = make("balanced", losses=np.full(11, -1.0), hard_mining=0.5)
    counts = Counter(d.row for d in sum(epoch_of(unknown), []) if d.row < 4)
    assert set(counts.values()) == {2}  # as often as without


@pytest.mark.parametrize(
    "settings, says",
    [
        (dict(pairing="pairs"), "paired"),
        (dict(pairing="paired", batch_size=5), "nearest sizes: 4, 6"),
        (dict(pairing="balanced", batch_size=1), "nearest sizes: 2"),
        (dict(pairing="balanced", rows=ROWS[:4]), "no fake"),
        (dict(pairing="paired", rows=np.array([0, 7])), "there is none"),
        (dict(pairing="none", rows=ROWS[:0]), "no videos"),
        (dict(pairing="none", batch_size=0), "at least 1"),
        (dict(pairing="none", self_blend=1.5), "data.self_blend must be in"),
        (dict(pairing="none", hard_mining=-0.5), "data.hard_mining must be in"),
        (dict(pairing="none", rows=ROWS[:4], self_blend=0.5), "balanced .*self_blend=1"),
        (dict(pairing="none", rows=ROWS[4:], self_blend=0.5), "needs real videos"),
    ],
)
def test_impossible_settings_say_what_to_change(settings, says):
    with pytest.raises(UsageError, match=says):
        make(**settings)


FRAMES = [[0, 1, 2]] * 8 + [[7, 8]] + [[1, 2]] * 2  # f8 shares no frame with its real video
TIMED = INDEX.assign(frame_indices=FRAMES)


def test_targets_are_real_and_their_sources_are_their_fakes_or_themselves():
    pairs = find_targets(TIMED, ROWS)
    assert sorted(map(tuple, pairs.tolist())) == [(0, 4), (0, 5), (0, 6), (1, 7), (2, 9), (3, 3)]
    with pytest.raises(UsageError, match="a generator needs fakes whose pair_id"):
        find_targets(TIMED, np.array([0, 1, 10]))


def test_with_sources_each_pair_is_one_clip_of_an_epoch():
    sampler = make("source", batch_size=3, index=TIMED)
    draws = sum(epoch_of(sampler, batch_size=3), [])
    assert sampler.batches == 2
    assert sorted((d.row, d.source) for d in draws) == sorted(
        map(tuple, find_targets(TIMED, ROWS).tolist())
    )
    assert all(d.anchor == d.row and not d.blend for d in draws)
    assert all(d.source == -1 for d in sum(epoch_of(make("paired")), []))
