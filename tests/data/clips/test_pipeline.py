"""Tests the batches of training and evaluation: content, order, shards and readers."""

import dataclasses
import multiprocessing
import threading
from itertools import islice

import cv2
import numpy as np
import pytest

from dfjax.data.clips.batching import EpochOptions
from dfjax.data.clips.loader import number_methods
from dfjax.data.clips.pipeline import batches_per_epoch, make_eval_batches, make_train_batches
from dfjax.data.clips.sampling import PAD, Sampling
from dfjax.data.index.records import make_index, make_record, write_index
from dfjax.data.store.pack import open_pack, pack
from dfjax.errors import UsageError

FRAMES = {"r0": 9, "r1": 2, "r2": 1, "f0": 9, "f1": 5, "f2": 1}


@pytest.fixture(scope="module")
def opened(tmp_path_factory):
    """Writes grey crops of every second source frame, 40 levels per video and 2 per frame."""
    root = tmp_path_factory.mktemp("pipeline")
    rows = []
    for video, (name, n) in enumerate(FRAMES.items()):
        folder = root / "crops" / name
        folder.mkdir(parents=True)
        numbers = list(range(0, 2 * n, 2))
        for number in numbers:
            image = np.full((8, 8, 3), 40 * video + 2 * number, np.uint8)
            cv2.imwrite(str(folder / f"{number:06d}.jpg"), image)
        fake = name.startswith("f")
        rows.append(
            make_record(
                video_id=name,
                dataset="set",
                label=int(fake),
                method="swap" if fake else "real",
                pair_id=f"r{name[1]}" if fake else None,
                frames_dir=f"crops/{name}",
                frame_indices=numbers,
            )
        )
    write_index(make_index(rows), root / "index.parquet", command="test")
    pack(root / "index.parquet", root / "pack")
    return open_pack(root / "pack")


ALL = tuple(range(6))
HALVES = (range(2), range(2, 4))  # of a batch of four


def settings(frames=3, kind="stride", stride=2, pad="end", **others):
    return {"sampling": Sampling(frames, kind, stride, pad), **others}


def train(opened, count, rows=ALL, *, pairing="none", batch_size=4, options=(), **changes):
    options = EpochOptions(pairing, batch_size, seed=0, **dict(options))
    how = settings(**{"threads": 0} | changes)
    with make_train_batches(opened, np.array(rows, int), options, **how) as batches:
        return list(islice(batches, count))


def evaluate(opened, rows=ALL, **changes):
    how = settings(**{"clips_per_video": 1, "batch_size": 4} | changes)
    with make_eval_batches(opened, np.array(rows, int), **how) as batches:
        return list(batches)


def assert_equal(got, expected):
    assert len(got) == len(expected)
    for a, b in zip(got, expected):
        assert a.keys() == b.keys()
        for name in a:
            np.testing.assert_array_equal(a[name], b[name], err_msg=name)


def test_a_batch_has_the_contract_s_names_types_and_pixels(opened):
    (batch,) = train(opened, 1)
    kinds = {name: (array.dtype.name, array.shape) for name, array in batch.items()}
    assert kinds == {
        "clip": ("uint8", (4, 3, 8, 8, 3)),
        "mask": ("bool", (4, 3)),
        "position": ("int32", (4, 3)),
        "label": ("int8", (4,)),
        "weight": ("float32", (4,)),
        "video_index": ("int32", (4,)),
    }
    grey = 40 * batch["video_index"][:, None] + 2 * batch["position"]
    assert np.abs(batch["clip"].mean((2, 3, 4)) - grey)[batch["mask"]].max() <= 1
    np.testing.assert_array_equal(batch["label"], batch["video_index"] >= 3)
    assert batch["weight"].all()


def test_short_videos_are_padded_at_the_end(opened):
    (batch,) = evaluate(opened, rows=[1, 2], batch_size=2)
    np.testing.assert_array_equal(batch["position"], [[0, 2, -1], [0, -1, -1]])
    np.testing.assert_array_equal(batch["mask"], batch["position"] >= 0)
    assert not batch["clip"][~batch["mask"]].any()


@pytest.mark.parametrize("pairing", ["none", "balanced", "paired"])
def test_threads_and_processes_give_the_same_batches(opened, pairing):
    expected = train(opened, 5, pairing=pairing)
    assert_equal(train(opened, 5, pairing=pairing, threads=3, prefetch=4), expected)
    if pairing == "paired":
        assert_equal(train(opened, 5, pairing=pairing, workers=2), expected)


def test_starting_at_batch_k_is_skipping_k_batches(opened):
    straight = train(opened, 7)
    for k in (1, 2, 5):
        assert_equal(train(opened, 7 - k, start_batch=k), straight[k:])


def test_shards_are_the_pieces_of_the_whole_batch(opened):
    whole = train(opened, 3, pairing="paired")
    pieces = [train(opened, 3, pairing="paired", places=part) for part in HALVES]
    joined = [{name: np.concatenate([a[name], b[name]]) for name in a} for a, b in zip(*pieces)]
    assert_equal(joined, whole)


def test_no_clip_is_lost_or_doubled_when_the_number_of_processes_changes(opened):
    whole = train(opened, 9, pairing="none", batch_size=2)
    parts = [[range(1), range(1, 2)], [range(2)], [range(1), range(1, 2)]]  # 2, 1, 2 processes
    pieces = [
        train(opened, 3, batch_size=2, start_batch=3 * number, places=part)
        for number, processes in enumerate(parts)
        for part in processes
    ]
    seen = sorted(video for piece in pieces for batch in piece for video in batch["video_index"])
    assert seen == sorted(video for batch in whole for video in batch["video_index"])
    assert seen == sorted(ALL * 3)  # three epochs, each of which shows every video once


def test_a_pair_shows_the_same_moment(opened):
    batches = train(opened, 30, pairing="paired")
    starts = set()
    for batch in batches:
        for real, fake in zip(range(0, 4, 2), range(1, 4, 2)):
            assert batch["video_index"][fake] == batch["video_index"][real] + 3
            if batch["video_index"][real] == 0:  # both have nine frames
                np.testing.assert_array_equal(batch["position"][real], batch["position"][fake])
                starts.add(batch["position"][real, 0])
    assert starts == {0, 2, 4, 6, 8, 10, 12}


def test_batches_per_epoch(opened):
    rows = np.arange(6)
    assert batches_per_epoch(opened, rows, EpochOptions("none", 4, seed=0)) == 2
    assert batches_per_epoch(opened, rows, EpochOptions("paired", 2, seed=0)) == 3
    first, second = train(opened, 2)
    assert set(first["video_index"]) | set(second["video_index"]) == set(range(6))


@pytest.mark.parametrize("sampling, count", [("stride", 3 + 1 + 1 + 3 + 2 + 1), ("even", 10)])
def test_evaluation_sees_each_clip_once_and_fills_the_last_batch(opened, sampling, count):
    batches = evaluate(opened, clips_per_video=0, kind=sampling)
    joined = {name: np.concatenate([b[name] for b in batches]) for name in batches[0]}
    real = joined["weight"] > 0
    assert real.sum() == count and len(real) == -(-count // 4) * 4
    assert (np.diff(joined["video_index"][real]) >= 0).all()
    seen = {(v, *p) for v, p in zip(joined["video_index"][real], joined["position"][real].tolist())}
    assert len(seen) == count
    filler = {name: array[~real] for name, array in joined.items()}
    assert (filler["video_index"] == -1).all() and not filler["clip"].any()
    assert filler["mask"].all()  # a mean over valid frames stays finite


def test_evaluation_in_shards_and_threads_is_the_same(opened):
    whole = evaluate(opened, clips_per_video=0, threads=0)
    assert_equal(evaluate(opened, clips_per_video=0, threads=2), whole)
    pieces = [evaluate(opened, clips_per_video=0, places=part) for part in HALVES]
    joined = [{name: np.concatenate([a[name], b[name]]) for name in a} for a, b in zip(*pieces)]
    assert_equal(joined, whole)


def test_closing_leaves_no_thread_and_no_process(opened):
    options = EpochOptions("none", 4, seed=0)
    threads, children = set(threading.enumerate()), set(multiprocessing.active_children())
    for reader in ({"threads": 3}, {"workers": 1}):
        batches = make_train_batches(opened, np.arange(6), options, **settings(), **reader)
        next(batches)
        batches.close()
        batches.close()
        for thread in set(threading.enumerate()) - threads:
            if thread.name.startswith("grain-prefetch"):
                thread.join(timeout=10)
                assert not thread.is_alive()
        assert set(multiprocessing.active_children()) <= children


def test_a_real_to_be_blended_takes_the_place_of_a_fake_and_its_label(opened):
    plain = train(opened, 3, pairing="paired", batch_size=2)
    for share in (0.5, 1.0):
        batches = train(opened, 3, pairing="paired", batch_size=2, options={"self_blend": share})
        blended = 0
        for batch in batches:
            np.testing.assert_array_equal(batch["label"], [0, 1])
            assert batch["blend"].dtype == bool and not batch["blend"][0]
            blended += batch["blend"][1]
            if batch["blend"][1]:
                for name in ("clip", "mask", "position", "video_index"):
                    np.testing.assert_array_equal(batch[name][0], batch[name][1])
        assert blended == round(3 * share)
    assert "blend" not in plain[0]


@pytest.mark.parametrize("pad", PAD)
def test_landmarks_come_along_where_the_index_has_them(opened, pad):
    points = [[[k, 2.0 * k, 3.0, 4.0] for k in range(n)] for n in FRAMES.values()]
    points[0] = None
    points[3][1] = None
    index = opened.index.assign(crop_landmarks=points)
    other = dataclasses.replace(opened, index=index)
    batches = train(other, 2, pad=pad, options={"self_blend": 1.0})
    seen = 0
    for batch in batches:
        assert batch["landmarks"].shape == (4, 3, 2, 2)
        for row, position, found in zip(
            batch["video_index"], batch["position"], batch["landmarks"]
        ):
            for at, given in zip(position, found):
                if at < 0 or row == 0 or (row == 3 and at == 2):
                    assert np.isnan(given).all()
                else:
                    seen += 1
                    np.testing.assert_array_equal(given, [[at / 2, at], [3.0, 4.0]])
    assert seen
    assert "landmarks" not in train(other, 1)[0]


def test_with_mining_batches_end_with_the_epoch_and_follow_the_losses(opened):
    options = {"hard_mining": 1.0}
    losses = np.array([0.0, 0.0, 0.0, 2.0, 0.0, 0.0])
    (last,) = train(opened, 9, options=options, losses=losses, start_batch=5)  # of two an epoch
    assert set(last["video_index"]) == {3}
    assert len(train(opened, 9, options=options, start_batch=4)) == 2


def test_labels_come_from_the_index_in_memory(opened):
    """The experiment with shuffled labels changes the index in memory, not the pack on disk."""
    other = dataclasses.replace(opened, index=opened.index.assign(label=1 - opened.index["label"]))
    (expected,), (got,) = train(opened, 1), train(other, 1)
    np.testing.assert_array_equal(got["label"], 1 - expected["label"])
    np.testing.assert_array_equal(got["clip"], expected["clip"])


@pytest.mark.parametrize(
    "changes, says",
    [
        ({"stride": 3}, "crops of r0, which are every 2 source frames"),
        ({"kind": "uniform"}, "even, stride"),
        ({"rows": []}, "no videos"),
        ({"pairing": "paired", "batch_size": 3}, "nearest sizes: 2, 4"),
    ],
)
def test_impossible_settings_say_what_to_change(opened, changes, says):
    with pytest.raises(UsageError, match=says):
        train(opened, 1, **changes)


def test_a_short_clip_is_centred_in_evaluation_and_anywhere_in_training(opened):
    """Pixels, mask and position move together; r1 has frames 0 and 2, f1 has 0 … 8."""
    (batch,) = evaluate(opened, (1,), frames=5, pad="random", batch_size=1)
    assert batch["position"][0].tolist() == [-1, 0, 2, -1, -1]
    assert batch["mask"][0].tolist() == [False, True, True, False, False]
    pixels = batch["clip"][0].mean((1, 2, 3))
    np.testing.assert_allclose(pixels, [0, 40, 44, 0, 0], atol=1)
    firsts = set()
    for batch in train(opened, 60, (1,), frames=5, pad="random", batch_size=1):
        mask = batch["mask"][0]
        np.testing.assert_array_equal(batch["position"][0][mask], [0, 2])
        np.testing.assert_allclose(batch["clip"][0].mean((1, 2, 3))[mask], [40, 44], atol=1)
        assert not batch["clip"][0][~mask].any()
        firsts.add(int(mask.argmax()))
    assert firsts == {0, 1, 2, 3}
    (batch,) = evaluate(opened, (4,), frames=5, pad="random", batch_size=1)
    assert batch["mask"].all()


def test_methods_are_numbered_by_their_place_and_unknown_ones_are_minus_one(opened):
    (batch,) = evaluate(opened, rows=(0, 3), methods=("real", "other", "swap"))
    np.testing.assert_array_equal(batch["method"], [0, 2, -1, -1])  # the last two are padding
    assert batch["method"].dtype == np.int8
    (batch,) = train(opened, 1, rows=(3, 4), methods=("real", "other"))
    np.testing.assert_array_equal(batch["method"], [-1] * 4)
    assert "method" not in train(opened, 1)[0]


def test_reals_are_method_zero_whatever_their_method_is_called(opened):
    index = opened.index.assign(method="youtube")
    np.testing.assert_array_equal(number_methods(index, ("real", "youtube")), [0, 0, 0, 1, 1, 1])


def test_a_real_video_that_is_blended_with_itself_is_of_no_known_method(opened):
    options = {"self_blend": 1.0}
    for batch in train(opened, 2, pairing="paired", options=options, methods=("real", "swap")):
        np.testing.assert_array_equal(batch["method"], np.where(batch["blend"], -1, 0))


def test_the_source_of_a_clip_is_the_same_frames_of_its_fake(opened):
    (batch,) = train(opened, 1, pairing="source", batch_size=3)
    assert batch["source"].dtype == np.uint8 and batch["source"].shape == batch["clip"].shape
    assert sorted(batch["video_index"]) == [0, 1, 2] and not batch["label"].any()
    grey = 40 * (batch["video_index"][:, None] + 3) + 2 * batch["position"]
    assert np.abs(batch["source"].mean((2, 3, 4)) - grey)[batch["mask"]].max() <= 1
    assert batch["mask"].sum(1).tolist() == [min(3, FRAMES[f"r{v}"]) for v in batch["video_index"]]


def test_a_real_video_without_a_fake_is_its_own_source(opened):
    (batch,) = train(opened, 1, rows=(0, 1, 3), pairing="source", batch_size=2)
    own = batch["video_index"] == 1
    np.testing.assert_array_equal(batch["source"][own], batch["clip"][own])
    assert (batch["source"][~own] != batch["clip"][~own]).any()


def test_sources_of_evaluation_are_given(opened):
    (batch,) = evaluate(opened, rows=[0, 2], sources=np.array([3, 5]), batch_size=3)
    difference = batch["source"].astype(int) - batch["clip"]
    means = np.where(batch["mask"], difference.mean((2, 3, 4)), 0)
    np.testing.assert_allclose(
        means, 120 * (batch["mask"] & (batch["weight"] > 0)[:, None]), atol=2
    )
