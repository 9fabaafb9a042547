"""Tests Mixup and CutMix: how pixels, frames and labels are mixed."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dfjax.data.transforms.mixing import make_mix
from dfjax.errors import UsageError
from dfjax.training import sharding

pytestmark = pytest.mark.usefixtures("compiled_quickly")

RNG = jax.random.key(3)
B, T, S = 12, 3, 8


def make(**options):
    return make_mix(**dict(mixup=0.0, cutmix=0.0, probability=1.0, segment=False) | options)


def make_batch(n=B):
    """Returns clips of which clip i is 1 in channel i modulo 3 only; two clips have padding."""
    colour = jnp.eye(3)[jnp.arange(n) % 3]
    mask = jnp.ones((n, T), bool).at[2, 2:].set(False).at[5, 1:].set(False)
    clip = jnp.broadcast_to(colour[:, None, None, None, :], (n, T, S, S, 3))
    return {
        "clip": clip * mask[:, :, None, None, None],
        "mask": mask,
        "label": (jnp.arange(n) % 2).astype(jnp.int8),
    }


def partner_parts(mixed, n=B):
    """Returns the weights of the two possible partners in every pixel, [2, B, T, S, S]."""
    clips = np.asarray(mixed["clip"])
    return np.stack([[clips[i, ..., (i - back) % 3] for i in range(n)] for back in (1, 2)])


@pytest.mark.parametrize(
    "options", [{"mixup": 0.4}, {"cutmix": 1.0}, {"cutmix": 1.0, "segment": True}]
)
def test_labels_are_the_share_of_what_was_mixed_in(options):
    batch = make_batch()
    mixed = jax.jit(make(**options))(batch, RNG)
    label, mask = np.asarray(batch["label"], float), np.asarray(batch["mask"])
    parts = partner_parts(mixed)
    assert not (parts[0] * parts[1]).any()  # one partner
    assert not parts[:, ~mask].any()  # padding stays black
    for back, part in zip((1, 2), parts):
        assert not part[~np.roll(mask, back, axis=0)].any()  # nothing of a frame that is not there
    own = np.asarray(mixed["clip"]).max(-1)[mask] if "mixup" not in options else None
    assert own is None or (own == 1).all()
    shares = parts.mean((3, 4)).sum(2) / mask.sum(1)  # [2, B]
    expected = label + sum(
        share * (np.roll(label, back) - label) for back, share in zip((1, 2), shares)
    )
    np.testing.assert_allclose(mixed["target"], expected, atol=1e-6)
    assert shares.any(axis=1).all() and shares.max() <= 0.5 + 0.1  # a box is whole pixels
    assert set(mixed) == {*batch, "target"}
    np.testing.assert_array_equal(mixed["mask"], batch["mask"])


def find_cut(**options):
    """Returns a batch without padding, the mixed batch, and the pixels of the partners."""
    batch = make_batch() | {"mask": jnp.ones((B, T), bool)}
    batch["clip"] = jnp.broadcast_to(batch["clip"][:, :1], batch["clip"].shape)
    batch["flow"] = batch["clip"][:, 1:, ..., :2] + jnp.arange(B)[:, None, None, None, None]
    mixed = jax.jit(make(cutmix=1.0, **options))(batch, RNG)
    return batch, mixed, partner_parts(mixed).any(axis=0)


@pytest.mark.parametrize("segment", [False, True])
def test_cutmix_puts_one_box_into_all_frames_or_into_a_run_of_them(segment):
    lengths = set()
    for clip in find_cut(segment=segment)[2]:
        frames = clip.any((1, 2))
        lengths.add(int(frames.sum()))
        if not frames.any():
            continue
        assert np.ptp(np.flatnonzero(frames)) + 1 == frames.sum()
        assert (clip[frames] == clip[frames][0]).all()
        rows, columns = clip.any((0, 2)), clip.any((0, 1))
        np.testing.assert_array_equal(clip[frames][0], rows[:, None] & columns)
        for line in (rows, columns):  # without a hole
            assert np.ptp(np.flatnonzero(line)) + 1 == line.sum()
    assert lengths <= {0, 1, 2, 3} if segment else lengths <= {0, T}
    assert len(lengths - {0}) > 1 if segment else lengths & {T}


def test_flow_is_cut_like_its_two_frames():
    batch, mixed, cut = find_cut(segment=True)
    both, border = cut[:, :-1] & cut[:, 1:], cut[:, :-1] ^ cut[:, 1:]
    assert both.any() and border.any()
    own, got = np.asarray(batch["flow"]), np.asarray(mixed["flow"])
    assert not got[border].any()
    np.testing.assert_array_equal(got[~both & ~border], own[~both & ~border])
    theirs = np.stack([np.roll(own, back, axis=0)[both] for back in (1, 2)])
    assert (theirs == got[both]).all(-1).any(0).all()


@pytest.mark.slow
def test_a_clip_is_mixed_alike_in_a_larger_batch():
    small, large = make_batch(9), make_batch()
    mix = jax.jit(make(mixup=0.4, cutmix=1.0, probability=0.7))
    a, b = mix(small, RNG), mix(large, RNG)
    for name in ("clip", "target"):  # the first two have their partners at the end of the batch
        np.testing.assert_array_equal(a[name][2:9], b[name][2:9])


def test_both_kinds_and_both_neighbours_come_as_often_and_some_clips_stay():
    n = 400
    batch = {
        "clip": jnp.arange(n, dtype=jnp.float32)[:, None, None, None, None]
        + jnp.zeros((1, 1, 4, 4, 3)),
        "mask": jnp.ones((n, 1), bool),
        "label": jnp.zeros(n, jnp.int8),
    }
    mixed = jax.jit(make(mixup=1.0, cutmix=1.0, probability=0.8))(batch, RNG)
    change = np.asarray(batch["clip"] - mixed["clip"])[2:, 0, :, :, 0].reshape(n - 2, -1)
    flat = np.ptp(change, axis=1) < 1e-4
    mixup = flat & (change[:, 0] > 0)
    cut = ~flat
    assert abs(mixup.mean() - 0.4) < 4 * np.sqrt(0.24 / n)
    assert 0.2 < cut.mean() < 0.4 + 0.1  # a box may cover no pixel
    nearer = change[cut].max(axis=1) < 1.5
    assert abs(nearer.mean() - 0.5) < 4 * np.sqrt(0.25 / nearer.size)


@pytest.mark.slow
def test_off_is_none_and_wrong_settings_say_so():
    assert make() is None and make(mixup=1.0, probability=0.0) is None
    with pytest.raises(UsageError, match="negative"):
        make(mixup=-1.0)
    with pytest.raises(UsageError, match="probability"):
        make(mixup=1.0, probability=2.0)
    with pytest.raises(UsageError, match="mix.cutmix"):
        make(mixup=1.0)(make_batch() | {"flow": jnp.zeros((B, T - 1, S, S, 2))}, RNG)


def test_clips_split_over_devices_are_mixed_with_a_step_between_neighbours():
    batch = make_batch(24)
    mix = jax.jit(make(mixup=0.4, cutmix=1.0))
    split = sharding.put_batch(jax.tree.map(np.asarray, batch), sharding.make_mesh(-1, 1, 1))
    compiled = mix.lower(split, RNG).compile()
    moved = set(re.findall(r"(all-gather|all-to-all|collective-permute)\(", compiled.as_text()))
    assert moved == {"collective-permute"}
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, atol=1e-6),
        dict(compiled(split, RNG)),
        dict(mix(batch, RNG)),
    )
