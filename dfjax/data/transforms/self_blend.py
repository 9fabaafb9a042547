"""Makes fakes from real clips by self-blending, on the device and inside `jit`.

The method and its parameters are those of Shiohara and Yamasaki 2022, "Detecting Deepfakes with
Self-Blended Images", and of the authors' code. A frame has two views, the source and the target.
One of them is changed in colour and detail, and the source is slightly shifted and scaled. The
source then replaces the target in a soft, deformed mask of the face. The fake therefore has traces
that are common to all face swaps. All frames of a clip use the same random numbers.

Compared with the authors' code (mapooon/SelfBlendedImages), which has two paths, one with the code
of Face X-ray and one without it:

- Equal: ranges and probabilities of the view's changes, and that it is the source or the target
  with the same probability; the source's scale (0.95 to 1 / 0.95 in x and y) and shift (3 % and
  1.5 %); no forehead with probability 1/4; the mask's elastic deformation, its height and width
  (192 to 256 pixels, drawn separately), to which radii and sigma of both windows refer, and the
  ratios of blending. With paired data a real frame and its fake share the augmentation.
- Shape: the convex hull of the landmarks, as there without Face X-ray, whose code draws one of four
  hulls. There are 81 landmarks, here the outline of a face mesh; five landmarks are extended. The
  ellipse, for clips without landmarks or with some that cover no pixel, is ours.
- Erosion: as there with Face X-ray, whose mask is of floats: only pixels whose average is the
  highest are kept. Without it, the mask is of bytes, averages are rounded, and about half of a
  window may be outside: hardly anything is eroded. Our window is uniform, theirs Gaussian, which
  keeps the same pixels of a shape larger than the window and fewer of a narrow one.
- View: the changes of colour have another order (see `self_blend_views`).
- Borders: where the moved source has no pixels, it is reflected; there it is black.
- Deformation: refers to a crop of 224 pixels, there to the frame with its margin, as it is.
- Data: clips, whose frames share the draws, and crops as stored; there frames and random margins.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Key

from dfjax import REAL
from dfjax.data.faces.landmarks import FOREHEAD, NOSE, OUTLINE_POINTS
from dfjax.data.transforms.self_blend_views import ViewDraws, change_view, draw_view
from dfjax.ops.blur import gaussian_blur
from dfjax.ops.separable import apply_matrices
from dfjax.ops.warp import Maps, compose, scale_map, translation_map, warp
from dfjax.shapes import Batch

DIRECTIONS = 32  # in which the extent of a convex shape is measured
RATIOS = (0.25, 0.5, 0.75, 1.0, 1.0, 1.0)  # largest weight of the source, with equal probabilities
SCALE, SHIFT_X, SHIFT_Y = 0.95, 0.03, 0.015  # of the source; shifts relative to the image's side
WITH_FOREHEAD = 0.75  # probability that the shape includes the forehead
SIDE = 224  # pixels, size of the images to which the deformation refers
ELASTIC, SMOOTH = 50.0, 7.0  # pixels, strength and sigma of the mask's deformation
SIDES = (192, 257)  # pixels, range of the mask's height and width, to which the following refer
RADIUS = (2, 13)  # pixels, range of the radius of both windows in which the mask is averaged
SIGMA = (5, 46)  # pixels, range of the second window's sigma
FIVE_POINTS = 2.0  # extent of a face relative to that of its eyes, nose and mouth

Coordinates = Float[Array, "B H W"]
Supports = Float[Array, "B T K"]
"""Extent of a convex shape in each direction (its support function), in pixels from the centre of
the image."""


class MaskDraws(NamedTuple):
    """Random numbers of the source's position and of the mask of each clip.

    Attributes:
        scale: Scale of the source in x and y.
        shift: Shift of the source in x and y, relative to the image's side.
        centre: Centre of the ellipse, relative to the image's side, from the image's centre.
        axes: Semi-axes of the ellipse, relative to the image's side.
        noise: Noise of the mask's deformation, in [-1, 1].
        forehead: Whether the shape includes the forehead, where a face mesh tells it.
        sides: Height and width of the mask in which the following are pixels.
        radius: Radius of both averaging windows.
        sigma: Sigma of the second window.
        ratio: Largest weight of the source.
    """

    scale: Float[Array, "B 2"]
    shift: Float[Array, "B 2"]
    centre: Float[Array, "B 2"]
    axes: Float[Array, "B 2"]
    noise: Float[Array, "B H W 2"]
    forehead: Bool[Array, "B"]
    sides: Float[Array, "B 2"]
    radius: Float[Array, "B 2"]
    sigma: Float[Array, "B"]
    ratio: Float[Array, "B"]


def self_blend(batch: Batch, rng: Key[Array, ""], *, region: bool = False) -> Batch:
    """Returns the batch after self-blending the clips with `blend`.

    Random numbers depend on the video, so that a real clip and the fake made from it differ only
    inside the mask, as published. For the same reason, the target is changed in clips without
    `blend`, too. Otherwise a change of the whole image would identify fakes. Values are rounded to
    multiples of 1/255, like those of other clips.

    Args:
        batch: Batch with `clip f32[B,T,H,W,3]` in [0, 1], `mask`, `video_index`, `blend bool[B]`
            and optionally `landmarks f32[B,T,K,2]` (x, y in pixels of the crop, not finite if
            unknown). A face without usable landmarks in all frames of the clip is an ellipse.
        rng: Key of the batch. A clip uses the key `fold_in(rng, video_index)`.
        region: Whether the batch gets the masks as `region f32[B,T,H,W,1]` and `region_known
            bool[B]`. In clips without `blend` these are the entries of the batch. If it has none,
            they are 0, and False for fakes.
    """
    clip = batch["clip"]
    keys = jax.vmap(lambda video: jax.random.fold_in(rng, video))(batch["video_index"])
    views, draws = jax.vmap(lambda key: draw_blend(key, *clip.shape[2:4]))(keys)
    changed, source_changed = change_view(clip, views), views.of_source[:, None, None, None, None]
    target = jnp.where(source_changed, clip, changed)
    source = warp(jnp.where(source_changed, changed, clip), make_maps(draws, clip), turned=False)
    part = make_blend_mask(batch, draws) * batch["blend"][:, None, None, None]
    blended = target + part[..., None] * (source - target)
    shown = batch["mask"][:, :, None, None, None]
    masks: Batch = {}
    if region:
        known = batch["blend"] | batch.get("region_known", batch["label"] == REAL)
        # Only real videos are blended, in which the region of the batch is empty.
        masks = {"region": part[..., None] + batch.get("region", 0.0), "region_known": known}
    return {**batch, "clip": jnp.where(shown, jnp.round(blended * 255.0) / 255.0, clip), **masks}


def draw_blend(key: Key[Array, ""], height: int, width: int) -> tuple[ViewDraws, MaskDraws]:
    """Returns the random numbers of one clip."""
    keys = dict(zip(("view", *MaskDraws._fields), jax.random.split(key, 11)))
    uniform, randint = jax.random.uniform, jax.random.randint
    limits = jnp.array([SHIFT_X, SHIFT_Y])
    least, most = jnp.array([0.24, 0.30]), jnp.array([0.34, 0.42])  # semi-axes of a face in a crop
    return draw_view(keys["view"]), MaskDraws(
        scale=uniform(keys["scale"], (2,), minval=SCALE, maxval=1 / SCALE),
        shift=limits * uniform(keys["shift"], (2,), minval=-1.0),
        centre=uniform(keys["centre"], (2,), minval=-0.03, maxval=0.03),
        axes=least + (most - least) * uniform(keys["axes"], (2,)),
        noise=uniform(keys["noise"], (height, width, 2), minval=-1.0),
        forehead=jax.random.bernoulli(keys["forehead"], WITH_FOREHEAD),
        sides=randint(keys["sides"], (2,), *SIDES).astype(jnp.float32),
        radius=randint(keys["radius"], (2,), *RADIUS).astype(jnp.float32),
        sigma=randint(keys["sigma"], (), *SIGMA).astype(jnp.float32),
        ratio=jax.random.choice(keys["ratio"], jnp.array(RATIOS)),
    )


def make_maps(draws: MaskDraws, clip: Float[Array, "B T H W 3"]) -> Maps:
    """Returns the maps that scale and shift the source (see `ops.warp`).

    Args:
        draws: Random numbers of the clips.
        clip: Clips, of which only the size is used.
    """
    height, width = clip.shape[-3:-1]
    x, y = draws.shift.T
    return compose(scale_map(*(1 / draws.scale.T)), translation_map(x * width, y * height))


def make_blend_mask(batch: Batch, draws: MaskDraws) -> Float[Array, "B T H W"]:
    """Returns the weight of the source in each pixel, which no shown frame has 0 everywhere.

    The shape of the face is moved like the source and deformed. It is then eroded, blurred, and
    multiplied by the ratio of the clip. The erosion averages the mask in a window and keeps the
    pixels of the shape whose average is the highest: 1, with a window completely inside the shape,
    unless the shape is narrower than the window.

    Args:
        batch: Batch (see `self_blend`).
        draws: Random numbers of its clips.
    """
    height, width = batch["clip"].shape[-3:-1]
    mask = _make_shape(batch, draws).astype(jnp.float32)[..., None]  # [B, T or 1, H, W, 1]
    units = jnp.array([height, width]) / draws.sides
    shrink, soften = draws.radius.T[..., None] * units
    everywhere = jnp.full_like(soften, jnp.inf)
    filled = _average(mask, shrink, everywhere) * mask
    kept = filled > (1 - 1e-4) * _highest(filled)  # of a window of up to 99 x 99, no pixel outside
    soft = _average(kept.astype(jnp.float32), soften, draws.sigma[:, None] * units)
    highest = _highest(soft)  # 0 in frames that are not shown
    soft = soft / jnp.where(highest > 0, highest, 1.0) * draws.ratio[:, None, None, None, None]
    return jnp.broadcast_to(soft[..., 0], batch["clip"].shape[:-1])


def _highest(images: Float[Array, "B t H W 1"]) -> Float[Array, "B t 1 1 1"]:
    return images.max(axis=(2, 3, 4), keepdims=True)


def _make_shape(batch: Batch, draws: MaskDraws) -> Bool[Array, "B t H W"]:
    """Returns the pixels of the faces: hulls of landmarks, or ellipses (t = 1) without any.

    A clip has its ellipse if the hull of a shown frame has no pixel, as that of unknown points.
    """
    height, width = batch["clip"].shape[-3:-1]
    x, y = _deformed_places(draws, batch["clip"])
    ellipse = inside(ellipse_supports(draws.centre * width, draws.axes * width)[:, None], x, y)
    if "landmarks" not in batch:
        return ellipse
    points = batch["landmarks"] - (jnp.array([width, height]) - 1) / 2
    points = _leave_out_forehead(points, ~draws.forehead)
    hull = inside(hull_supports(points, FIVE_POINTS if points.shape[-2] <= 5 else 1.0), x, y)
    usable = (hull.any(axis=(2, 3)) | ~batch["mask"]).all(axis=1)
    return jnp.where(usable[:, None, None, None], hull, ellipse)


def _leave_out_forehead(
    points: Float[Array, "B T K 2"], chosen: Bool[Array, "B"]
) -> Float[Array, "B T K 2"]:
    """Returns landmarks of which those of the forehead lie on the nose, inside of the hull."""
    if points.shape[-2] != OUTLINE_POINTS:
        return points
    nose = points[:, :, NOSE, None]
    without = points.at[:, :, FOREHEAD].set(nose)
    return jnp.where(chosen[:, None, None, None], without, points)


def directions() -> Float[np.ndarray, "K 2"]:
    """Returns the `DIRECTIONS` evenly spaced unit vectors in which supports are measured."""
    angles = 2 * np.pi * np.arange(DIRECTIONS) / DIRECTIONS
    return np.stack([np.cos(angles), np.sin(angles)], axis=-1).astype(np.float32)


def ellipse_supports(centre: Float[Array, "B 2"], axes: Float[Array, "B 2"]) -> Float[Array, "B K"]:
    """Returns the supports of upright ellipses.

    Args:
        centre: Centres in pixels, from the image's centre.
        axes: Semi-axes in pixels.
    """
    d = directions()
    return centre @ d.T + jnp.linalg.norm(axes[:, None] * d, axis=-1)


def hull_supports(points: Float[Array, "B T N 2"], grown: float) -> Supports:
    """Returns the supports of the convex hulls of points, scaled about the mean of the points.

    Args:
        points: Points in pixels, from the image's centre.
        grown: Scale factor.
    """
    along = jnp.einsum("btnc,kc->btnk", points, directions(), precision="highest")
    middle = along.mean(axis=2)
    return middle + grown * (along.max(axis=2) - middle)


def inside(
    supports: Float[Array, "B t K"], x: Coordinates, y: Coordinates
) -> Bool[Array, "B t H W"]:
    """Returns whether points are inside convex shapes.

    The test uses the circumscribed polygon of the shape, whose extent is at most 0.5 % larger with
    32 directions.

    Args:
        supports: Supports of the shapes in pixels.
        x: x of the points in pixels, from the image's centre.
        y: y of the points in pixels, from the image's centre.
    """
    far = x[..., None] * directions()[:, 0] + y[..., None] * directions()[:, 1]  # [B, H, W, K]
    return (far[:, None] <= supports[:, :, None, None]).all(axis=-1)


def _deformed_places(
    draws: MaskDraws, clip: Float[Array, "B T H W 3"]
) -> tuple[Coordinates, Coordinates]:
    """Returns x and y of the mask's pixels after a smooth random shift and the source's map."""
    height, width = clip.shape[-3:-1]
    unit = width / SIDE
    sigma = jnp.full(len(clip), SMOOTH * unit)
    taps = 2 * round(4 * SMOOTH * unit) + 1
    # The noise's average over a window scaled by `unit` is larger by 1 / unit, hence `unit**2`.
    shift = ELASTIC * unit**2 * gaussian_blur(draws.noise, sigma, taps=taps)
    x = jnp.arange(width) - (width - 1) / 2 + shift[..., 0]
    y = (jnp.arange(height) - (height - 1) / 2)[:, None] + shift[..., 1]
    (a, _, e), (_, d, f) = (
        jnp.moveaxis(make_maps(draws, clip)[:, row, :, None, None], 1, 0) for row in range(2)
    )
    return a * x + e, d * y + f


def _average(
    images: Float[Array, "B t H W 1"], radius: Float[Array, "B 2"], sigma: Float[Array, "B 2"]
) -> Float[Array, "B t H W 1"]:
    """Returns means over windows with Gaussian weights, truncated at `radius` pixels.

    Args:
        images: Images.
        radius: Radius in y and x.
        sigma: Sigma in y and x.
    """
    sizes = images.shape[2:4]
    return apply_matrices(
        images, *(_window_matrix(n, radius[:, i], sigma[:, i]) for i, n in enumerate(sizes))
    )


def _window_matrix(
    size: int, radius: Float[Array, "B"], sigma: Float[Array, "B"]
) -> Float[Array, "B n n"]:
    distance = np.abs(np.subtract.outer(np.arange(size), np.arange(size)))
    weight = jnp.exp(-((distance / sigma[:, None, None]) ** 2) / 2)
    weight *= distance <= radius[:, None, None]
    return weight / weight.sum(axis=-1, keepdims=True)
