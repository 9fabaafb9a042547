from collections import Counter

import numpy as np
import pandas as pd
import pytest

from dfjax.data.drawing import fill
from dfjax.data.sampling import Recipe, Sampler, find_pairs
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
    return Sampler(index, rows, Recipe(pairing, batch_size, seed, **more), losses)


def epoch_of(sampler, epoch=0, batch_size=4):
    first = epoch * sampler.batches
    return [
        [sampler.draw(first + k, place) for place in range(batch_size)]
        for k in range(sampler.batches)
    ]


def test_fill_uses_all_equally_often():
    counts = Counter(fill(3, 11, np.random.default_rng(0)).tolist())
    assert sorted(counts.values()) == [3, 4, 4]


def test_without_pairing_every_video_comes_once_and_the_last_batch_is_filled():
    sampler = make("none")
    draws = sum(epoch_of(sampler), [])
    assert sampler.batches == 3
    assert sorted(d.row for d in draws[:11]) == ROWS.tolist()
    assert draws[11].row in ROWS
    assert all(d.anchor == d.row for d in draws)


def test_fewer_videos_than_a_batch_repeat():
    sampler = make("none", batch_size=8, rows=ROWS[:3])
    counts = Counter(d.row for d in epoch_of(sampler, batch_size=8)[0])
    assert sampler.batches == 1 and sorted(counts.values()) == [2, 3, 3]


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
    ],
)
def test_impossible_settings_say_what_to_change(settings, says):
    with pytest.raises(UsageError, match=says):
        make(**settings)
