"""Colours by hand, against OpenCV's and torchvision's definitions, and invariants."""

import jax
import jax.numpy as jnp
import numpy as np

from dfjax.ops.color import LUMA, Colour, add_noise, change_colour, chroma_matrix, mean_luma

rng = np.random.default_rng(0)
images = jnp.asarray(rng.uniform(0.3, 0.7, (2, 4, 5, 3)), jnp.float32)
NEUTRAL = {"brightness": 1.0, "offset": 0.0, "contrast": 1.0, "saturation": 1.0, "hue": 0.0}


def change(images, luma=0.5, **numbers):
    values = [jnp.full(len(images), value) for value in (NEUTRAL | numbers).values()]
    return change_colour(images, Colour(*values), jnp.full(len(images), luma))


def test_neutral_numbers_change_nothing():
    np.testing.assert_allclose(change(images), images, atol=1e-6)


def test_one_pixel_by_hand():
    pixel = jnp.array([[[[0.2, 0.4, 0.6]]]])
    gray = 0.299 * 0.2 + 0.587 * 0.4 + 0.114 * 0.6
    for numbers, expected in [
        ({"brightness": 1.5}, [0.3, 0.6, 0.9]),
        ({"offset": 0.1}, [0.3, 0.5, 0.7]),
        ({"contrast": 0.5}, [0.35, 0.45, 0.55]),  # about 0.5
        ({"saturation": 0.0}, [gray] * 3),
        ({"saturation": 0.5}, np.mean([[0.2, 0.4, 0.6], [gray] * 3], axis=0)),
    ]:
        np.testing.assert_allclose(change(pixel, **numbers).ravel(), expected, atol=1e-5)


def test_one_after_the_other_in_the_order_of_the_fields():
    luma = 0.45
    step = change(images, brightness=1.1)
    step = change(step, offset=0.03)
    step = change(step, luma=1.1 * luma + 0.03, contrast=0.7)
    step = change(step, saturation=0.6)
    step = change(step, hue=0.05)
    once = change(images, luma, brightness=1.1, offset=0.03, contrast=0.7, saturation=0.6, hue=0.05)
    np.testing.assert_allclose(once, step, atol=1e-5)


def test_hue_leaves_luma_and_gray_alone_and_a_whole_turn_is_none():
    turned = change(images, hue=0.2)
    np.testing.assert_allclose(turned @ LUMA, images @ LUMA, atol=1e-5)
    assert float(jnp.abs(turned - images).max()) > 0.05
    gray = jnp.full((2, 1, 1, 3), 0.4)
    np.testing.assert_allclose(change(gray, hue=0.2), gray, atol=1e-6)
    matrices = chroma_matrix(jnp.ones(3), jnp.array([0.0, 1.0, -1.0]))
    np.testing.assert_allclose(matrices, np.tile(np.eye(3), (3, 1, 1)), atol=1e-5)


def test_half_a_turn_is_the_opposite_colour():
    opposite = chroma_matrix(jnp.ones(1), jnp.array([0.5]))[0]
    expected = 2 * np.tile(LUMA, (3, 1)) - np.eye(3)  # chroma with the other sign
    np.testing.assert_allclose(opposite, expected, atol=1e-5)


def test_values_stay_in_range():
    assert float(change(images, brightness=9.0).max()) == 1.0
    assert float(change(images, offset=-0.9).min()) == 0.0


def test_mean_luma_counts_frames_of_the_mask():
    clip = jnp.zeros((2, 3, 2, 2, 3)).at[0, 0].set(1.0).at[0, 1].set(jnp.array([1.0, 0.0, 0.0]))
    mask = jnp.array([[1.0, 1.0, 0.0], [0.0, 0.0, 0.0]])
    np.testing.assert_allclose(mean_luma(clip, mask), [(1 + 0.299) / 2, 0], atol=1e-6)


def test_noise_has_its_deviation_and_is_new_in_every_frame():
    flat = jnp.full((2, 2, 64, 64, 3), 0.5)
    keys = jax.random.split(jax.random.key(0), 2)
    noisy = add_noise(flat, jnp.array([0.0, 0.05]), keys)
    np.testing.assert_array_equal(noisy[0], flat[0])
    noise = np.asarray(noisy[1] - flat[1])
    assert abs(noise.std() - 0.05) < 0.002  # 6 standard errors of 24,576 draws, and cut tails
    assert abs(np.corrcoef(noise[0].ravel(), noise[1].ravel())[0, 1]) < 0.04
    np.testing.assert_array_equal(add_noise(flat[1:], jnp.array([0.05]), keys[1:])[0], noisy[1])
