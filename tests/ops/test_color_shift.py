"""Principal colours against the published formula in NumPy, HSV against OpenCV, and limits."""

import cv2
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dfjax.ops.color_shift import principal_axes, shift_hsv, shift_principal, to_hsv

rng = np.random.default_rng(0)
MIX = np.array([[0.12, 0.10, 0.09], [0.0, 0.05, -0.04], [0.02, -0.01, 0.01]])
CLIPS = jnp.asarray((0.45 + rng.normal(size=(3, 2, 9, 8, 3)) @ MIX).clip(0, 1), jnp.float32)
ONES = jnp.ones((3, 2))


def fancy_pca(pixels, amount):
    """The shift of Krizhevsky et al. 2012 for `pixels [N, 3]`, and the one of albumentations."""
    values, axes = np.linalg.eigh(np.cov(pixels.astype(np.float64), rowvar=False))
    axes = axes * np.where(axes.sum(axis=0) < 0, -1, 1)
    return axes @ (amount * values), axes.T @ (amount * values)


def test_principal_shift_is_the_published_formula():
    amount = jnp.array([0.1, -0.2, 0.0])
    shifted = np.asarray(jax.jit(shift_principal)(CLIPS, ONES, amount))
    for clip, ours, factor in zip(np.asarray(CLIPS), shifted, np.asarray(amount)):
        shift, transposed = fancy_pca(clip.reshape(-1, 3), factor)
        np.testing.assert_allclose(ours, (clip + shift).clip(0, 1), atol=1e-6)
        # albumentations' shift points elsewhere, but is as long.
        np.testing.assert_allclose(np.linalg.norm(transposed), np.linalg.norm(shift), rtol=1e-9)
    np.testing.assert_array_equal(shifted[2], CLIPS[2])
    assert (shifted[0] >= CLIPS[0]).mean() > 0.99, "a positive amount brightens"


def test_frames_outside_the_mask_do_not_count():
    mask, changed = ONES.at[:, 1].set(0), CLIPS.at[:, 1].set(1)
    amount = jnp.full(3, 0.3)
    short = shift_principal(CLIPS[:, :1], ONES[:, :1], amount)
    padded = shift_principal(changed, mask, amount)
    np.testing.assert_allclose(padded[:, 0], short[:, 0], atol=1e-6)
    axes, variances = principal_axes(CLIPS, jnp.zeros_like(ONES))
    assert np.isfinite(axes).all() and not np.asarray(variances).any()


def test_clips_of_one_colour_stay():
    flat = jnp.full((1, 1, 4, 4, 3), 0.3)
    shifted = shift_principal(flat, jnp.ones((1, 1)), jnp.ones(1))
    np.testing.assert_allclose(shifted, flat, atol=1e-6)


@pytest.mark.parametrize("shift", [(0.0, 0.0, 0.0), (0.1, 0.1, -0.05), (-0.11, -0.12, 0.08)])
def test_hsv_is_opencvs(shift):
    frames = rng.uniform(0.02, 1, (2, 12, 12, 3)).astype(np.float32)
    expected = []
    for frame in frames:
        hsv = cv2.cvtColor(frame, cv2.COLOR_RGB2HSV) + np.float32([360, 1, 1]) * np.float32(shift)
        hsv[..., 0] %= 360
        hsv[..., 1:] = hsv[..., 1:].clip(0, 1)
        expected.append(cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB))
    ours = jax.jit(shift_hsv)(frames, jnp.tile(jnp.array(shift, jnp.float32), (2, 1)))
    np.testing.assert_allclose(ours, np.stack(expected), atol=2e-5)  # OpenCV's float arithmetic


def test_hsv_by_hand():
    pixels = jnp.array([[[1, 0, 0], [0, 1, 0], [0, 0, 1], [0.5, 0.5, 0.5], [0, 0, 0], [1, 1, 0.5]]])
    hue, saturation, value = (np.asarray(x)[0] for x in to_hsv(pixels))
    np.testing.assert_allclose(hue, [0, 1 / 3, 2 / 3, 0, 0, 1 / 6], atol=1e-6)
    np.testing.assert_allclose(saturation, [1, 1, 1, 0, 0, 0.5], atol=1e-6)
    np.testing.assert_allclose(value, [1, 1, 1, 0.5, 0, 1], atol=1e-6)

    def shifted(*shift):
        return np.asarray(shift_hsv(pixels[None], jnp.array([shift])))[0, 0]

    np.testing.assert_allclose(shifted(1 / 3, 0.0, 0.0)[:3], np.eye(3)[[1, 2, 0]], atol=1e-6)
    np.testing.assert_allclose(shifted(0.0, 0.0, 0.25)[4], [0.25] * 3, atol=1e-6)
    np.testing.assert_allclose(shifted(0.0, 0.5, 0.0)[3], [0.5, 0.25, 0.25], atol=1e-6)
    np.testing.assert_allclose(shifted(0.0, -1.0, 0.0)[5], [1.0] * 3, atol=1e-6)
