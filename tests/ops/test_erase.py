import jax.numpy as jnp
import numpy as np

from dfjax.ops.erase import erase_box

FILL = jnp.array([0.1, 0.2, 0.3])


def test_boxes_by_hand():
    clips = jnp.ones((3, 2, 4, 8, 3))
    width, height = jnp.array([0.25, 0.5, 0.0]), jnp.array([0.5, 0.25, 0.5])
    x, y = jnp.array([0.0, 1.0, 0.5]), jnp.array([0.0, 1.0, 0.5])
    erased = erase_box(clips, width, height, x, y, FILL)
    expected = np.ones((3, 2, 4, 8, 3))
    expected[0, :, :2, :2] = expected[1, :, 3:, 4:] = FILL  # all frames of a clip alike
    np.testing.assert_allclose(erased, expected)


def test_a_box_larger_than_the_picture_covers_it():
    whole = erase_box(jnp.ones((1, 3, 3, 3)), *(jnp.array([v]) for v in (1.7, 1.0, 0.3, 0.9)), FILL)
    np.testing.assert_allclose(whole, jnp.broadcast_to(FILL, whole.shape))
