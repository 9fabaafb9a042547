"""Augments clips at random, on the device and inside `jit`.

All random numbers but those of noise are drawn once per clip, so that its frames change alike. The
key of a clip depends on its position in the batch, so that the result does not depend on the size
of the batch. A self-blended clip has the key of its real clip, if that stands before it, so that
both change alike.
"""

from collections.abc import Callable, Mapping, Sequence

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Key, Shaped

from dfjax.data.transforms.augment_draws import (
    Draws,
    clip_keys,
    draw_operations,
    find_places,
    keep_one,
)
from dfjax.data.transforms.augment_operations import COLOURS, GEOMETRIC, OPERATIONS, Values
from dfjax.data.transforms.augment_presets import Augmentation
from dfjax.ops.blur import lose_detail
from dfjax.ops.color import Colour, add_noise, change_colour, mean_luma
from dfjax.ops.color_shift import shift_hsv, shift_principal
from dfjax.ops.erase import erase_box
from dfjax.ops.jpeg import compress_jpeg
from dfjax.ops.warp import (
    Maps,
    compose,
    identity_map,
    rotation_map,
    scale_map,
    translation_map,
    warp,
    warp_vectors,
)
from dfjax.shapes import Batch

Augment = Callable[[Batch, Key[Array, ""]], Batch]
"""`augment(batch, rng) -> batch`; `clip` is floating point in [0, 1], `flow` in pixels."""


def make_augment(augmentation: Augmentation, *, fill: Sequence[float]) -> Augment | None:
    """Returns the function that augments a batch, or None if there are no operations.

    Args:
        augmentation: Operations with their values (see `choose_augmentation`).
        fill: RGB colour of erased boxes, in [0, 1].
    """
    operations, one_of = augmentation
    if not operations:
        return None

    def augment(batch: Batch, rng: Key[Array, ""]) -> Batch:
        places = find_places(batch)
        draws = draw_operations(rng, operations, places)
        if one_of is not None:
            draws = keep_one(rng, draws, one_of, places)
        keys = clip_keys(rng, places, "noise of pixels")
        return apply_draws(batch, draws, keys, fill=fill, taps=_taps(operations))

    return augment


def _taps(operations: Mapping[str, Values]) -> int:
    return int(operations["blur"][3]) if "blur" in operations else 1


def apply_draws(
    batch: Batch, draws: Draws, keys: Key[Array, "B"], *, fill: Sequence[float], taps: int
) -> Batch:
    """Returns the batch with its clips changed by drawn operations.

    The order is geometry, colours, blur and rescaling, noise, JPEG, erasing. The names in `draws`
    determine the operations while tracing, and the drawn numbers are data of the program.

    Args:
        batch: Batch with `clip` in [0, 1], `mask` and optionally `flow` and `region`.
        draws: Drawn numbers (see `draw_operations`).
        keys: Keys of the noise, one per clip.
        fill: RGB colour of erased boxes, in [0, 1].
        taps: Number of taps of the blur, an odd number.
    """
    changed = {**batch, **_apply_geometry(batch, draws)}
    clip = changed["clip"]
    if any(name in draws for name in COLOURS):
        colour = Colour(*(_numbers(draws, name, len(clip))[0] for name in COLOURS))
        clip = change_colour(clip, colour, mean_luma(clip, batch["mask"].astype(clip.dtype)))
    if "rgb" in draws:
        clip = jnp.clip(clip + draws["rgb"][:, None, None, None], 0, 1)
    if "fancy_pca" in draws:
        clip = shift_principal(clip, batch["mask"].astype(clip.dtype), draws["fancy_pca"][:, 0])
    if "hsv" in draws:
        clip = shift_hsv(clip, draws["hsv"])
    if "blur" in draws or "rescale" in draws:
        sigma, factor = (_numbers(draws, name, len(clip))[0] for name in ("blur", "rescale"))
        clip = lose_detail(clip, sigma, factor, taps=taps)
    if "noise" in draws:
        clip = add_noise(clip, draws["noise"][:, 0], keys)
    if "jpeg" in draws:
        quality = draws["jpeg"][:, 0]
        clip = jnp.where(_per_clip(quality > 0), compress_jpeg(clip, quality), clip)
    if "erase" in draws:
        area, ratio, x, y = draws["erase"].T
        width, height = jnp.sqrt(area * ratio), jnp.sqrt(area / ratio)
        clip = erase_box(clip, width, height, x, y, jnp.array(fill))
    return {**changed, "clip": clip}


def _apply_geometry(batch: Batch, draws: Draws) -> dict[str, Array]:
    """Returns `clip`, `region` and `flow` after all geometric operations, in one sampling."""
    changed = {name: batch[name] for name in ("clip", "region", "flow") if name in batch}
    pictures = [name for name in ("clip", "region") if name in batch]
    geometric = [name for name in GEOMETRIC if name in draws]
    if geometric == ["flip"]:  # without interpolation
        flipped = draws["flip"][:, 0] > 0
        for name in pictures:
            changed[name] = flip_clips(changed[name], flipped)
        if "flow" in changed:
            changed["flow"] = flip_flow(changed["flow"], flipped)
    elif geometric:
        maps = make_maps(draws, changed["clip"].shape[-3:-1])
        rotated = "rotate" in draws
        for name in pictures:
            changed[name] = warp(changed[name], maps, turned=rotated)
        if "flow" in changed:
            changed["flow"] = warp_vectors(changed["flow"], maps, turned=rotated)
    return changed


def make_maps(draws: Draws, size: Sequence[int]) -> Maps:
    """Returns the affine map of each clip that combines its geometric operations (see `ops.warp`).

    Args:
        draws: Drawn numbers of at least one operation.
        size: Height and width of the clips in pixels.
    """
    height, width = size
    count = len(next(iter(draws.values())))
    area, ratio, x, y = _numbers(draws, "crop", count)
    across, down = (jnp.minimum(jnp.sqrt(a), 1) for a in (area * ratio, area / ratio))
    (degrees,), (zoom,) = _numbers(draws, "rotate", count), _numbers(draws, "zoom", count)
    right, below = _numbers(draws, "translate", count)
    (flip,) = _numbers(draws, "flip", count)
    return compose(
        identity_map(count),
        translation_map((x - 0.5) * (1 - across) * width, (y - 0.5) * (1 - down) * height),
        scale_map(across, down),
        rotation_map(degrees),
        scale_map(1 / zoom, 1 / zoom),
        translation_map(-right * width, -below * height),
        scale_map(1 - 2 * flip, jnp.ones_like(flip)),
    )


def _numbers(draws: Draws, name: str, count: int) -> Float[Array, "_ {count}"]:
    """Returns the drawn numbers of an operation, one row each, or its neutral ones if it is off."""
    if name in draws:
        return draws[name].T
    return jnp.tile(jnp.array(OPERATIONS[name].nothing)[:, None], (1, count))


def _per_clip(values: Shaped[Array, "B"]) -> Shaped[Array, "B 1 1 1 1"]:
    return values[:, None, None, None, None]


def flip_clips(
    clip: Shaped[Array, "B T H W C"], flipped: Bool[Array, "B"]
) -> Shaped[Array, "B T H W C"]:
    """Returns the clips, of which some are mirrored left to right.

    Args:
        clip: Clips of any dtype.
        flipped: Whether each clip is mirrored.
    """
    return jnp.where(_per_clip(flipped), clip[..., ::-1, :], clip)


def flip_flow(
    flow: Shaped[Array, "B t H W 2"], flipped: Bool[Array, "B"]
) -> Shaped[Array, "B t H W 2"]:
    """Returns the flow of the clips of `flip_clips`, mirrored and with the opposite sign of u.

    Args:
        flow: Flow (u, v) in pixels, where u points to the right.
        flipped: Whether each clip is mirrored.
    """
    mirrored = flow[..., ::-1, :] * jnp.array([-1, 1], flow.dtype)
    return jnp.where(_per_clip(flipped), mirrored, flow)
