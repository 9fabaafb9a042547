"""Fakes made of real clips by blending two views of them, on device and inside `jit`.

Shiohara and Yamasaki 2022, "Detecting Deepfakes with Self-Blended Images", with the numbers of the
authors' program: one view of a frame is changed in colour and detail, the source view is shifted
and scaled a little, and what a soft, deformed mask of the face covers is taken from it. What is
left are the traces that any face swap leaves. All frames of a clip share the draws.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Key

from dfjax.data.transforms.self_blend_views import ViewDraws, change_view, draw_view
from dfjax.ops.blur import gaussian_blur
from dfjax.ops.separable import apply_matrices
from dfjax.ops.warp import Maps, compose, scale_map, translation_map, warp
from dfjax.shapes import Batch

DIRECTIONS = 32
RATIOS = (0.25, 0.5, 0.75, 1.0, 1.0, 1.0)
SIDE = 224  # pixels of the pictures that the numbers below are meant for
SCALE, SHIFT_X, SHIFT_Y = 0.95, 0.03, 0.015  # of the source view; shifts in sides
ELASTIC, SMOOTH = 50.0, 7.0  # pixels: of the mask's deformation
RADIUS = (2, 13)  # pixels: of both windows that the mask is averaged over
SIGMA = (5, 46)  # pixels: of the second
FIVE_POINTS = 2.0  # eyes, nose and mouth span half a face

Coordinates = Float[Array, "B H W"]
Supports = Float[Array, "B T K"]
"""How far a convex shape reaches in each direction, pixels from the picture's centre."""


class MaskDraws(NamedTuple):
    """What is drawn for the source's place and for the mask of each clip."""

    scale: Float[Array, "B 2"]
    shift: Float[Array, "B 2"]  # sides
    centre: Float[Array, "B 2"]  # of the ellipse, sides from the middle
    axes: Float[Array, "B 2"]  # half the ellipse's, sides
    noise: Float[Array, "B H W 2"]
    radius: Float[Array, "B 2"]
    sigma: Float[Array, "B"]
    ratio: Float[Array, "B"]


def self_blend(batch: Batch, rng: Key[Array, ""]) -> Batch:
    """Returns the batch with the clips that `blend` marks blended with themselves.

    Draws are those of the video: a real clip and the fake made of it differ by what is pasted, as
    published. For the same reason clips that are not blended have their view changed too: or a
    change of the whole picture would tell the fakes. Values stay whole 255ths, as those of others.

    Args:
        batch: `clip f32[B,T,H,W,3]` in [0, 1], `mask`, `video_index`, `blend bool[B]` and, where
            known, `landmarks f32[B,T,K,2]` (x, y in pixels of the crop; not finite: unknown). A
            clip without them, or not in all of its frames, has an ellipse for a face.
        rng: of this batch; a clip draws from `fold_in(rng, video_index)`.
    """
    clip = batch["clip"]
    keys = jax.vmap(lambda video: jax.random.fold_in(rng, video))(batch["video_index"])
    views, draws = jax.vmap(lambda key: _draw(key, *clip.shape[2:4]))(keys)
    changed, source_changed = change_view(clip, views), views.of_source[:, None, None, None, None]
    target = jnp.where(source_changed, clip, changed)
    source = warp(jnp.where(source_changed, changed, clip), make_maps(draws, clip), turned=False)
    part = make_blend_mask(batch, draws) * batch["blend"][:, None, None, None]
    blended = target + part[..., None] * (source - target)
    shown = batch["mask"][:, :, None, None, None]
    return {**batch, "clip": jnp.where(shown, jnp.round(blended * 255.0) / 255.0, clip)}


def _draw(key: Key[Array, ""], height: int, width: int) -> tuple[ViewDraws, MaskDraws]:
    """The draws of one clip."""
    keys = dict(zip(("view", *MaskDraws._fields), jax.random.split(key, 9)))
    uniform, randint = jax.random.uniform, jax.random.randint
    limits = jnp.array([SHIFT_X, SHIFT_Y])
    least, most = jnp.array([0.24, 0.30]), jnp.array([0.34, 0.42])  # a face in its crop
    return draw_view(keys["view"]), MaskDraws(
        scale=uniform(keys["scale"], (2,), minval=SCALE, maxval=1 / SCALE),
        shift=limits * uniform(keys["shift"], (2,), minval=-1.0),
        centre=uniform(keys["centre"], (2,), minval=-0.03, maxval=0.03),
        axes=least + (most - least) * uniform(keys["axes"], (2,)),
        noise=uniform(keys["noise"], (height, width, 2), minval=-1.0),
        radius=randint(keys["radius"], (2,), *RADIUS).astype(jnp.float32),
        sigma=randint(keys["sigma"], (), *SIGMA).astype(jnp.float32),
        ratio=jax.random.choice(keys["ratio"], jnp.array(RATIOS)),
    )


def make_maps(draws: MaskDraws, clip: Float[Array, "B T H W 3"]) -> Maps:
    """Returns where the source view looks, see `ops.warp`: scaled and shifted, not turned."""
    height, width = clip.shape[-3:-1]
    x, y = draws.shift.T
    return compose(scale_map(*(1 / draws.scale.T)), translation_map(x * width, y * height))


def make_blend_mask(batch: Batch, draws: MaskDraws) -> Float[Array, "B T H W"]:
    """Returns what part of each pixel comes from the source view.

    The face's shape, moved as the source is and deformed, loses a margin, is blurred, and is
    weighted by the clip's ratio of blending. The authors average twice; the first time they keep
    where the average is 1, which is what a window around has to be inside of.

    Args:
        batch: see `self_blend`.
        draws: of its clips.
    """
    height, width = batch["clip"].shape[-3:-1]
    supports = ellipse_supports(draws.centre * width, draws.axes * width)[:, None]
    if "landmarks" in batch:
        points = batch["landmarks"] - (jnp.array([width, height]) - 1) / 2
        grown = FIVE_POINTS if points.shape[-2] <= 5 else 1.0
        known = jnp.isfinite(points).all((-1, -2)) | ~batch["mask"]
        hull = hull_supports(points, grown)
        supports = jnp.where(known.all(axis=1)[:, None, None], hull, supports)
    x, y = _deformed_places(draws, batch["clip"])
    mask = inside(supports, x, y).astype(jnp.float32)[..., None]  # [B, T or 1, H, W, 1]
    unit = width / SIDE
    shrink, soften = draws.radius.T * unit
    everywhere = jnp.full_like(soften, jnp.inf)
    kept = _average(mask, shrink, everywhere) > 1 - 1e-4  # of up to 99 x 99 pixels none is out
    soft = _average(kept.astype(jnp.float32), soften, draws.sigma * unit)[..., 0]
    highest = soft.max(axis=(2, 3), keepdims=True)
    soft = soft / jnp.where(highest > 0, highest, 1.0) * draws.ratio[:, None, None, None]
    return jnp.broadcast_to(soft, batch["clip"].shape[:-1])


def directions() -> Float[np.ndarray, "K 2"]:
    """Returns the unit vectors, all round, in which supports are measured."""
    angles = 2 * np.pi * np.arange(DIRECTIONS) / DIRECTIONS
    return np.stack([np.cos(angles), np.sin(angles)], axis=-1).astype(np.float32)


def ellipse_supports(centre: Float[Array, "B 2"], axes: Float[Array, "B 2"]) -> Float[Array, "B K"]:
    """Returns how far upright ellipses reach in each direction."""
    d = directions()
    return centre @ d.T + jnp.linalg.norm(axes[:, None] * d, axis=-1)


def hull_supports(points: Float[Array, "B T N 2"], grown: float) -> Supports:
    """Returns how far the convex hulls of points reach, `grown` about the mean of their points."""
    along = jnp.einsum("btnc,kc->btnk", points, directions(), precision="highest")
    middle = along.mean(axis=2)
    return middle + grown * (along.max(axis=2) - middle)


def inside(
    supports: Float[Array, "B t K"], x: Coordinates, y: Coordinates
) -> Bool[Array, "B t H W"]:
    """Returns whether places are in the shapes: no further than these in any direction.

    With few directions that is a polygon around the shape; with 32 it reaches 0.5 % further.
    """
    far = x[..., None] * directions()[:, 0] + y[..., None] * directions()[:, 1]  # [B, H, W, K]
    return (far[:, None] <= supports[:, :, None, None]).all(axis=-1)


def _deformed_places(
    draws: MaskDraws, clip: Float[Array, "B T H W 3"]
) -> tuple[Coordinates, Coordinates]:
    """Where each pixel of the mask looks: displaced by smooth noise, then as the source."""
    height, width = clip.shape[-3:-1]
    unit = width / SIDE
    sigma = jnp.full(len(clip), SMOOTH * unit)
    taps = 2 * round(4 * SMOOTH * unit) + 1
    # Noise averaged over a window scaled by `unit` is that much less even: the product stays.
    shift = ELASTIC * unit**2 * gaussian_blur(draws.noise, sigma, taps=taps)
    x = jnp.arange(width) - (width - 1) / 2 + shift[..., 0]
    y = (jnp.arange(height) - (height - 1) / 2)[:, None] + shift[..., 1]
    (a, _, e), (_, d, f) = (
        jnp.moveaxis(make_maps(draws, clip)[:, row, :, None, None], 1, 0) for row in range(2)
    )
    return a * x + e, d * y + f


def _average(
    images: Float[Array, "B t H W 1"], radius: Float[Array, "B"], sigma: Float[Array, "B"]
) -> Float[Array, "B t H W 1"]:
    """Means over square windows, with the weights of a Gaussian cut off at `radius`."""
    return apply_matrices(
        images, *(_window_matrix(size, radius, sigma) for size in images.shape[2:4])
    )


def _window_matrix(
    size: int, radius: Float[Array, "B"], sigma: Float[Array, "B"]
) -> Float[Array, "B n n"]:
    distance = np.abs(np.subtract.outer(np.arange(size), np.arange(size)))
    weight = jnp.exp(-((distance / sigma[:, None, None]) ** 2) / 2)
    weight *= distance <= radius[:, None, None]
    return weight / weight.sum(axis=-1, keepdims=True)
