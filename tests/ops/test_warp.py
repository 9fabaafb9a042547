"""Affine warps: exact cases, OpenCV, and displacement fields whose answer is known."""

import cv2
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dfjax.ops import warp as ops
from dfjax.ops.warp import (
    compose,
    identity_map,
    mirror,
    rotation_map,
    scale_map,
    translation_map,
)

warp = jax.jit(ops.warp, static_argnames="turned")
warp_vectors = jax.jit(ops.warp_vectors, static_argnames="turned")
rng = np.random.default_rng(0)
images = jnp.asarray(rng.random((1, 2, 9, 9, 3)), jnp.float32)
wide = jnp.asarray(rng.random((2, 8, 11, 3)), jnp.float32)


def numbers(*values):
    return jnp.array(values, jnp.float32)


@pytest.mark.parametrize("turned", [False, True])
def test_identity_gives_the_picture_back(turned):
    np.testing.assert_allclose(warp(wide, identity_map(2), turned=turned), wide, atol=1e-6)


def test_quarter_turns_are_counter_clockwise():
    ours = warp(images, rotation_map(numbers(90)))
    # sin and cos of float32 put the samples 1e-6 pixels beside the pixels
    np.testing.assert_allclose(ours, np.rot90(images, axes=(2, 3)), atol=1e-5)


@pytest.mark.parametrize("turned", [False, True])
def test_mirror_and_whole_pixels_are_exact(turned):
    flipped = warp(wide, scale_map(numbers(-1, 1), numbers(1, 1)), turned=turned)
    np.testing.assert_allclose(flipped[0], wide[0, :, ::-1], atol=1e-6)
    np.testing.assert_allclose(flipped[1], wide[1], atol=1e-6)
    moved = warp(wide, translation_map(numbers(2, 0), numbers(0, -1)), turned=turned)
    np.testing.assert_allclose(moved[0, :, :-2], wide[0, :, 2:], atol=1e-6)
    np.testing.assert_allclose(moved[1, 1:], wide[1, :-1], atol=1e-6)


def test_both_ways_to_sample_agree():
    maps = compose(
        translation_map(numbers(1.3, -4.0), numbers(0.4, 2.5)),
        scale_map(numbers(0.7, -1.2), numbers(1.1, 0.5)),
    )
    ours, other = warp(wide, maps, turned=True), warp(wide, maps, turned=False)
    np.testing.assert_allclose(ours, other, atol=1e-5)


def test_any_map_is_opencv_s_inside():
    size, angle, zoom = 33, 12.0, 1.3
    y, x = np.mgrid[:size, :size] / 8
    smooth = np.stack([np.sin(x + y), np.cos(x), np.sin(x * y / 3)], -1).astype(np.float32)
    maps = compose(
        rotation_map(numbers(angle)),
        scale_map(numbers(1 / zoom), numbers(1 / zoom)),
        translation_map(numbers(-3.5), numbers(2.25)),
    )
    middle = ((size - 1) / 2, (size - 1) / 2)
    matrix = cv2.getRotationMatrix2D(middle, angle, zoom)
    matrix[:, 2] += [3.5, -2.25]  # the picture moves against the map
    theirs = cv2.warpAffine(smooth, matrix, (size, size), borderMode=cv2.BORDER_REFLECT_101)
    ours = warp(jnp.asarray(smooth)[None], maps)[0]
    # OpenCV rounds sampling places to 1/32 of a pixel; neighbours differ by 0.2 here
    np.testing.assert_allclose(ours, theirs, atol=0.2 / 32 * 2)


def test_composition_is_one_after_the_other():
    x, y = np.mgrid[:15, :15].astype(np.float32)
    plane = jnp.asarray(np.stack([x, 2 * y - x], -1))[None]  # linear: sampling it is exact
    first, second = rotation_map(numbers(7)), scale_map(numbers(0.9), numbers(0.8))
    once = warp(plane, compose(first, second))
    twice = warp(warp(plane, first), second)
    np.testing.assert_allclose(once[:, 3:-3, 3:-3], twice[:, 3:-3, 3:-3], atol=1e-4)


def test_beyond_the_border_it_is_mirrored():
    row = jnp.arange(4.0).reshape(1, 1, 4, 1)
    seen = warp(row, translation_map(numbers(2), numbers(0)))
    np.testing.assert_allclose(seen.ravel(), [2, 3, 2, 1], atol=1e-6)
    place, facing = mirror(jnp.array([-1.0, 0.5, 3.5, 7.0]), 4)
    np.testing.assert_allclose(place, [1, 0.5, 2.5, 1])
    np.testing.assert_array_equal(facing, [-1, 1, -1, 1])


def field(matrix, size=21):
    """The displacements `matrix @ place` of places from the centre, f32[1, 1, H, W, 2]."""
    y, x = np.mgrid[:size, :size] - (size - 1) / 2
    vectors = np.einsum("ij,...j->...i", matrix, np.stack([x, y], -1))
    return jnp.asarray(vectors, jnp.float32)[None, None]


TURNING, GROWING = np.array([[0, -0.1], [0.1, 0]]), np.array([[0.2, 0], [0, 0.2]])
inside = (slice(None), slice(None), slice(4, -4), slice(4, -4))


@pytest.mark.parametrize("motion", [TURNING, GROWING])
@pytest.mark.parametrize("maps", [rotation_map(numbers(17)), scale_map(numbers(0.8), numbers(0.8))])
def test_turning_and_growing_look_the_same_turned_or_enlarged(motion, maps):
    flow = field(motion)
    np.testing.assert_allclose(warp_vectors(flow, maps)[inside], flow[inside], atol=1e-5)


def test_a_mirrored_turn_turns_the_other_way():
    flipped = warp_vectors(field(TURNING), scale_map(numbers(-1), numbers(1)), turned=False)
    np.testing.assert_allclose(flipped, field(-TURNING), atol=1e-5)
    zoomed = warp_vectors(field(GROWING), scale_map(numbers(-1), numbers(1)), turned=False)
    np.testing.assert_allclose(zoomed, field(GROWING), atol=1e-5)


def test_one_direction_is_turned_and_stretched():
    right = jnp.tile(jnp.array([1.0, 0.0]), (1, 1, 9, 9, 1))
    turned = warp_vectors(right, rotation_map(numbers(90)))
    middle = (0, 0, 4, 4)  # places beyond the border face the other way
    np.testing.assert_allclose(turned[middle], [0, -1], atol=1e-6)  # up: counter-clockwise
    wider = warp_vectors(right, scale_map(numbers(0.5), numbers(1)), turned=False)
    np.testing.assert_allclose(wider[middle], [2, 0], atol=1e-6)


def test_vectors_describe_where_pixels_of_the_warped_frames_go():
    """Two frames, the second moved by a known field; warped, the warped field still joins them."""
    size, maps = 41, compose(rotation_map(numbers(20)), scale_map(numbers(0.6), numbers(0.7)))
    y, x = jnp.mgrid[:size, :size] - (size - 1) / 2

    def brightness(x, y):
        return jnp.sin(x / 4) + jnp.cos(y / 5)

    motion = np.array([[0.05, -0.03], [0.02, -0.04]])
    back = np.linalg.inv(np.eye(2) + motion)
    first = brightness(x, y)
    second = brightness(back[0, 0] * x + back[0, 1] * y, back[1, 0] * x + back[1, 1] * y)
    frames = warp(jnp.stack([first, second])[None, ..., None], maps)[0, ..., 0]
    flow = warp_vectors(field(motion, size), maps)[0, 0]
    middle = (size - 1) / 2
    moved = jax.scipy.ndimage.map_coordinates(
        frames[1], [y + middle + flow[..., 1], x + middle + flow[..., 0]], order=1
    )
    inner = slice(8, -8)
    # linear interpolation of a wave of 25 pixels: (2 pi / 25)^2 / 8 = 0.008, twice
    np.testing.assert_allclose(moved[inner, inner], frames[0][inner, inner], atol=0.016)
