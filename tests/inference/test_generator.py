import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dfjax.inference.generator import make_restore, to_pixels

CLIPS = np.random.default_rng(0).integers(0, 256, (2, 3, 20, 24, 3), np.uint8)


def unchanged(variables, inputs, *, train, rngs):
    return inputs["rgb"], {}, {}


def brighter(variables, inputs, *, train, rngs):
    return inputs["rgb"] + 2 / 255, {}, {}


def test_pixels_are_rounded_and_clipped():
    values = jnp.array([-1.2, -1.0, 0.0, 1 / 127.5 - 1, 1.0, 7.0])
    assert to_pixels(values).tolist() == [0, 0, 128, 1, 255, 255]


@pytest.mark.parametrize("size", [16, 20, 32])
def test_a_generator_that_changes_nothing_keeps_every_pixel_of_any_size(size):
    restored = jax.jit(make_restore(unchanged, size))({}, CLIPS)
    np.testing.assert_array_equal(restored, CLIPS)


def test_the_change_at_the_size_of_the_generator_is_added_to_the_clip():
    restored = jax.jit(make_restore(brighter, 16))({}, CLIPS)
    np.testing.assert_array_equal(restored, np.minimum(CLIPS.astype(int) + 1, 255))
