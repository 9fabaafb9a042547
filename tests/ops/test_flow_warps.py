import jax.numpy as jnp
import numpy as np

from dfjax.ops.flow import find_consistent, invert, warp_back

IMAGE = jnp.asarray(np.random.default_rng(0).normal(size=(1, 6, 8, 2)), jnp.float32)


def constant(x, y):
    return jnp.broadcast_to(jnp.array([x, y], jnp.float32), (1, 6, 8, 2))


def test_whole_pixels_are_taken_and_the_border_is_repeated():
    found = warp_back(IMAGE, constant(2, -1))[0]
    rows, columns = np.clip(np.arange(6) - 1, 0, 5), np.clip(np.arange(8) + 2, 0, 7)
    np.testing.assert_array_equal(found, np.asarray(IMAGE[0])[rows][:, columns])


def test_between_pixels_the_sample_is_bilinear():
    found = warp_back(IMAGE, constant(0.25, 0.5))[0, 2, 3]
    a = np.asarray(IMAGE[0])
    top = 0.75 * a[2, 3] + 0.25 * a[2, 4]
    bottom = 0.75 * a[3, 3] + 0.25 * a[3, 4]
    np.testing.assert_allclose(found, (top + bottom) / 2, rtol=1e-6)


def test_a_linear_ramp_is_sampled_exactly_along_any_flow():
    y, x = np.mgrid[:6, :8].astype(np.float32)
    ramp = jnp.asarray((2 * x - 3 * y)[None, :, :, None])
    flow = np.random.default_rng(1).uniform(-1, 1, (1, 6, 8, 2)).astype(np.float32)
    flow[:, 0], flow[:, -1], flow[:, :, 0], flow[:, :, -1] = 0, 0, 0, 0
    expected = ramp[..., 0] + 2 * flow[..., 0] - 3 * flow[..., 1]
    np.testing.assert_allclose(warp_back(ramp, jnp.asarray(flow))[..., 0], expected, atol=1e-4)


def test_the_inverse_of_a_translation_is_its_opposite_where_anything_arrives():
    back = invert(constant(2, 1))[0]
    np.testing.assert_array_equal(back[1:, 2:], np.broadcast_to([-2.0, -1.0], (5, 6, 2)))
    assert not back[0].any() and not back[:, :2].any()


def test_pixels_that_leave_the_image_are_not_consistent():
    visible = np.asarray(find_consistent(constant(2, -1))[0])
    expected = np.zeros((6, 8), bool)
    expected[1:, :-2] = True
    np.testing.assert_array_equal(visible, expected)
    assert find_consistent(constant(0, 0)).all()


def test_what_a_moving_object_covers_is_not_consistent():
    flow = np.zeros((1, 12, 16, 2), np.float32)
    flow[:, 3:9, 2:6, 0] = 5  # an object moves by 5 px over a still background
    visible = np.asarray(find_consistent(jnp.asarray(flow))[0])
    background = np.ones((12, 16), bool)
    background[3:9, 2:6] = False
    covered = np.zeros((12, 16), bool)
    covered[3:9, 7:11] = True
    assert not visible[covered & background].any()
    assert visible[background & ~covered].all()
