"""Blur and rescaling as matrices, against OpenCV, against `resize`, and by hand."""

import cv2
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dfjax.ops import blur
from dfjax.ops.resize import resize
from dfjax.ops.separable import apply_matrices, gaussian_matrix, rescale_matrix

gaussian_blur = jax.jit(blur.gaussian_blur, static_argnames="taps")
lose_detail = jax.jit(blur.lose_detail, static_argnames="taps")
rescale = jax.jit(blur.rescale)
rng = np.random.default_rng(0)
clips = jnp.asarray(rng.random((2, 3, 13, 10, 3)), jnp.float32)


def test_rows_and_columns_by_hand():
    image = jnp.array([[[[1.0], [2.0]], [[3.0], [4.0]]]])
    rows, columns = jnp.array([[[1.0, 1.0]]]), jnp.array([[[0.0, 1.0], [1.0, 0.0], [0.5, 0.5]]])
    np.testing.assert_array_equal(apply_matrices(image, rows, columns)[..., 0], [[[6.0, 4.0, 5.0]]])


@pytest.mark.parametrize(("sigma", "taps"), [(0.5, 3), (2.0, 3), (1.4, 7)])
def test_blur_is_opencv_s(sigma, taps):
    ours = gaussian_blur(clips[:1], jnp.array([sigma]), taps=taps)
    theirs = [cv2.GaussianBlur(np.array(f), (taps, taps), sigma) for f in clips[0]]
    np.testing.assert_allclose(ours[0], theirs, atol=2e-6)


def test_a_blurred_point_is_the_kernel():
    matrix = gaussian_matrix(9, jnp.array([1.0]), 5)[0]
    kernel = np.exp(-0.5 * np.arange(-2, 3) ** 2)
    np.testing.assert_allclose(matrix[4, 2:7], kernel / kernel.sum(), atol=1e-6)
    np.testing.assert_allclose(matrix.sum(axis=1), 1, atol=1e-6)


@pytest.mark.parametrize("factor", [0.3, 0.5, 0.77])
def test_rescaling_is_resizing_twice(factor):
    small = (round(factor * 13), round(factor * 10))
    expected = resize(resize(clips[:1], small), (13, 10))
    np.testing.assert_allclose(rescale(clips[:1], jnp.array([factor])), expected, atol=1e-6)


def test_halving_by_hand():
    small, grown = np.array([[3, 3, 1, 0], [0, 1, 3, 3]]) / 7, [[1, 0], [3, 1], [1, 3], [0, 1]]
    grown = grown / np.sum(grown, axis=1, keepdims=True)
    np.testing.assert_allclose(rescale_matrix(4, jnp.array([0.5]))[0], grown @ small, atol=1e-6)


def test_neutral_numbers_change_nothing():
    ours = lose_detail(clips, jnp.zeros(2), jnp.ones(2), taps=7)
    np.testing.assert_array_equal(ours, clips)


def test_each_clip_by_its_own_numbers():
    sigma, factor = jnp.array([0.0, 1.5]), jnp.array([0.5, 1.0])
    both = lose_detail(clips, sigma, factor, taps=5)
    np.testing.assert_allclose(both[:1], rescale(clips[:1], factor[:1]), atol=1e-6)
    np.testing.assert_allclose(both[1:], gaussian_blur(clips[1:], sigma[1:], taps=5), atol=1e-6)


def test_a_constant_stays_constant():
    flat = jnp.full((1, 11, 7, 1), 0.3)
    ours = lose_detail(flat, jnp.array([1.7]), jnp.array([0.4]), taps=7)
    np.testing.assert_allclose(ours, flat, atol=1e-6)
