"""Corruptions: what they do at their limits, order of levels, one program for all."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dfjax.data.faces.h264_clips import encode_clips
from dfjax.data.transforms.corruptions import CORRUPTIONS, ON_DEVICE, corrupt_clips

B, T, SIZE = 2, 6, 16
NAMES = [name for name in ON_DEVICE if name != "none"]
traces = []


@jax.jit
def corrupt(clips, mask, kind, value, keys):
    traces.append(kind)
    return corrupt_clips(clips, mask, kind, value, keys)


@pytest.fixture(scope="module")
def clips():
    rng = np.random.default_rng(0)
    smooth = np.cumsum(rng.normal(0, 12, (B, T, SIZE, SIZE, 3)), axis=3) + 128
    return smooth.clip(0, 255).astype(np.uint8)


def run(clips, name, value, mask=None, seed=0):
    mask = np.ones((len(clips), T), bool) if mask is None else mask
    keys = jax.random.split(jax.random.key(seed), len(clips))
    kind = jnp.int32(list(ON_DEVICE).index(name))
    return np.asarray(corrupt(clips, mask, kind, jnp.full(len(clips), value, jnp.float32), keys))


def test_one_program_has_all_corruptions_and_levels(clips):
    before = len(traces)
    for name in NAMES:
        for value in CORRUPTIONS[name].values:
            assert run(clips, name, value).dtype == np.uint8
    assert len(traces) - before <= 1
    assert (run(clips, "none", 0.0) == clips).all()


@pytest.mark.parametrize("name", NAMES)
def test_levels_ascend(clips, name):
    distances = [
        np.abs(run(clips, name, value).astype(float) - clips).mean()
        for value in CORRUPTIONS[name].values
    ]
    assert len(distances) == 5 and distances == sorted(distances) and distances[0] > 0


def test_limits(clips):
    gray = run(clips, "saturation", 0.0)
    assert np.ptp(gray, axis=-1).max() <= 1
    np.testing.assert_allclose(gray[..., 0], clips @ [0.299, 0.587, 0.114], atol=1.1)
    flat = run(clips, "contrast", 0.0)
    means = (clips @ np.array([0.299, 0.587, 0.114])).mean((1, 2, 3))
    np.testing.assert_allclose(flat @ np.array([0.299, 0.587, 0.114]), np.broadcast_to(
        means[:, None, None, None], flat.shape[:-1]), atol=1.1)  # fmt: skip
    half = np.full_like(clips, 128)
    noise = run(half, "noise", 0.05).astype(float) - 128
    assert noise.std() == pytest.approx(0.05 * 255, rel=0.05)


def test_dropped_frames_repeat_the_last_one_shown():
    clips = np.arange(T, dtype=np.uint8)[None, :, None, None, None]
    clips = np.broadcast_to(clips, (64, T, SIZE, SIZE, 3)).copy()
    mask = np.ones((64, T), bool)
    mask[:, 0] = mask[:, -1] = False  # padding before and after
    shown = run(clips, "frame_drop", 0.5, mask)[:, :, 0, 0, 0].astype(int)
    assert (shown[:, [0, 1, -1]] == [0, 1, T - 1]).all()
    inner = shown[:, 1:-1]
    assert (np.diff(inner, axis=1) >= 0).all() and (inner <= np.arange(1, T - 1)).all()
    dropped = (inner[:, 1:] != np.arange(2, T - 1)).mean()
    assert dropped == pytest.approx(0.5, abs=0.12)
    assert (run(clips, "frame_drop", 0.0, mask) == clips).all()


def test_h264_keeps_shape_and_padding_and_loses_more_at_higher_factors():
    rng = np.random.default_rng(0)
    clips = rng.integers(0, 256, (2, 4, 3, 5, 3)).repeat(11, 2).repeat(7, 3).astype(np.uint8)
    mask = np.ones((2, 4), bool)
    mask[1, 2:] = False
    distances = []
    for crf in CORRUPTIONS["h264"].values:
        found = encode_clips(clips, mask, crf=int(crf))
        assert found.shape == clips.shape and (found[~mask] == clips[~mask]).all()
        distances.append(np.abs(found[mask].astype(float) - clips[mask]).mean())
    assert distances == sorted(distances) and 0 < distances[0] < distances[-1] < 60
