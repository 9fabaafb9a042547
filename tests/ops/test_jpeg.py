"""JPEG on device against libjpeg, twice: PIL and OpenCV write and read with their own copies."""

import io

import cv2
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from dfjax.data.synthetic.plan import make_plan
from dfjax.data.synthetic.render import Canvas, render
from dfjax.ops.jpeg import (
    _CHROMA_TABLE,
    _LUMA_TABLE,
    compress_jpeg,
    cosine_matrix,
    quantisation_table,
)

QUALITIES = (30, 40, 50, 60, 75, 85, 90, 95)
compress = jax.jit(compress_jpeg)


def faces():
    frames, _ = render(make_plan(12, 6, 0)[0], 0, frames=1, canvas=Canvas((128, 128), 128))
    return np.stack(list(frames))


def noise():
    return np.random.default_rng(0).integers(0, 256, (1, 192, 192, 3), dtype=np.uint8)


def odd():
    """Smooth, with grain and edges, and with sides that are no multiple of anything."""
    y, x = np.mgrid[:101, :117] / 50
    waves = np.stack([np.sin(3 * x + y), np.cos(2 * y - x), np.sin(2 * x * y)], -1)
    grain = np.random.default_rng(1).normal(0, 10, waves.shape)
    picture = np.clip(127 + 100 * waves + grain, 0, 255).astype(np.uint8)
    picture[30:60, 20:90] = (200, 30, 60)
    return picture[None]


def by_pil(picture, quality):
    file = io.BytesIO()
    Image.fromarray(picture).save(file, "jpeg", quality=quality, subsampling="4:2:0")
    return np.asarray(Image.open(file))


def by_opencv(picture, quality):
    flags = [cv2.IMWRITE_JPEG_QUALITY, quality]
    return cv2.imdecode(cv2.imencode(".jpg", picture[..., ::-1], flags)[1], 1)[..., ::-1]


def by_us(pictures, quality):
    images = jnp.repeat(jnp.asarray(pictures, jnp.float32) / 255, len(quality), axis=0)
    return np.asarray(compress(images, jnp.array(quality, jnp.float32))) * 255


def psnr(a, b):
    return 10 * np.log10(255**2 / np.mean((a - b.astype(np.float64)) ** 2))


# The integer arithmetic of libjpeg puts one coefficient in a thousand of pure noise on the other
# side of a rounding, which changes it by a whole step; pictures have fewer that are not zero.
@pytest.mark.parametrize(("make", "least"), [(faces, 50), (odd, 48), (noise, 40)])
@pytest.mark.parametrize("reference", [by_pil, by_opencv])
def test_it_is_libjpeg(make, least, reference):
    """At least `least` dB of PSNR between the two, at every quality."""
    pictures = make()
    ours = by_us(pictures, QUALITIES)
    for quality, image in zip(QUALITIES, ours):
        theirs = reference(pictures[0], quality)
        assert psnr(image, theirs) >= least, quality
        lost = psnr(pictures[0], theirs)
        assert psnr(image, theirs) > lost + 10, "much closer than that is to the original"


def test_quality_orders_the_loss_and_pixels_are_whole():
    ours = by_us(faces(), QUALITIES)
    losses = [psnr(image, faces()[0]) for image in ours]
    assert losses == sorted(losses)
    np.testing.assert_allclose(ours, np.round(ours), atol=1e-4)
    assert ours.min() >= 0 and ours.max() <= 255


def test_tables_are_those_that_libjpeg_writes():
    for quality in (1, 10, 49, 50, 75, 99, 100):
        file = io.BytesIO()
        Image.new("RGB", (16, 16)).save(file, "jpeg", quality=quality)
        theirs = Image.open(file).quantization
        for number, table in enumerate((_LUMA_TABLE, _CHROMA_TABLE)):
            ours = quantisation_table(table, jnp.array([float(quality)]))[0]
            assert sorted(ours.ravel().tolist()) == sorted(theirs[number])
    assert quantisation_table(_LUMA_TABLE, jnp.array([50.0]))[0].tolist() == _LUMA_TABLE.tolist()


def test_the_transform_is_orthonormal_and_its_first_row_the_mean():
    matrix = cosine_matrix()
    np.testing.assert_allclose(matrix @ matrix.T, np.eye(64), atol=1e-6)
    np.testing.assert_allclose(matrix[0], 1 / 8, atol=1e-7)


def test_a_gray_block_by_hand():
    # luma 100 - 128 = -28 is a constant of 8 * -28 = -224, in steps of 16 * 5 (quality 10) 2.8 -> 3
    flat = np.full((1, 16, 16, 3), 100, np.uint8)
    np.testing.assert_allclose(by_us(flat, [10]), 128 - 3 * 80 / 8, atol=1e-4)


def test_frames_of_a_clip_share_its_quality():
    clip = jnp.asarray(np.random.default_rng(2).random((2, 3, 16, 16, 3)), jnp.float32)
    quality = jnp.array([20.0, 90.0])
    ours = compress(clip, quality)
    for t in range(3):
        np.testing.assert_array_equal(ours[:, t], compress(clip[:, t], quality))
