"""Random changes of whole clips, on device and inside `jit`.

Everything is drawn once per clip, from a key of its own per place in the batch, so that all frames
of a clip change alike (but for noise) and a clip does not depend on how large its batch is.
"""

import math
import zlib
from collections.abc import Callable, Mapping, Sequence

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Key, Shaped

from dfjax.data.transforms.augment_presets import BOX, COLOURS, GEOMETRIC, OPERATIONS, Values
from dfjax.ops.blur import lose_detail
from dfjax.ops.color import Colour, add_noise, change_colour, mean_luma
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
Draws = Mapping[str, Float[Array, "B _"]]
"""What each operation does to each clip: the numbers whose neutral values are `nothing`."""


def make_augment(operations: Mapping[str, Values], *, fill: Sequence[float]) -> Augment | None:
    """Returns `augment(batch, rng) -> batch` with `clip` and `flow` changed, or None for nothing.

    Args:
        operations: probability and range by name (`choose_operations`).
        fill: colour of erased boxes, RGB in [0, 1].
    """
    if not operations:
        return None

    def augment(batch: Batch, rng: Key[Array, ""]) -> Batch:
        draws = draw_operations(rng, operations, len(batch["clip"]))
        keys = _clip_keys(rng, len(batch["clip"]), "noise of pixels")
        return apply_draws(batch, draws, keys, fill=fill, taps=_taps(operations))

    return augment


def _taps(operations: Mapping[str, Values]) -> int:
    return int(operations["blur"][3]) if "blur" in operations else 1


def draw_operations(
    rng: Key[Array, ""], operations: Mapping[str, Values], n_clips: int
) -> dict[str, Float[Array, "{n_clips} _"]]:
    """Returns the numbers of every operation for every clip.

    Ranges are drawn uniformly, the ratios of boxes uniformly in their logarithm.

    Args:
        rng: of this batch; clip i draws from `fold_in(fold_in(rng, i), crc32(name))`, the flip
            from `fold_in(rng, i)` itself.
        operations: probability and range by name.
        n_clips: B.
    """
    draws = {}
    for name, values in operations.items():
        if name == "flip":
            draws[name] = draw_per_clip(rng, values[0], n_clips).astype(jnp.float32)[:, None]
        else:
            keys = _clip_keys(rng, n_clips, name)
            draws[name] = jax.vmap(lambda key, n=name, v=values: _draw(key, n, v))(keys)
    return draws


def _draw(key: Key[Array, ""], name: str, values: Values) -> Float[Array, "_"]:
    operation = OPERATIONS[name]
    chance, amount = jax.random.split(key)
    nothing = jnp.array(operation.nothing)
    share = jax.random.uniform(amount, nothing.shape)
    low, high = values[1:3]
    drawn = low + share * (high - low)
    if operation.values == BOX:
        least, most = math.log(values[3]), math.log(values[4])
        ratio = jnp.exp(least + share[1] * (most - least))
        drawn = jnp.stack([drawn[0], ratio, *share[2:]])
    return jnp.where(jax.random.bernoulli(chance, values[0]), drawn, nothing)


def _clip_keys(rng: Key[Array, ""], n_clips: int, name: str = "") -> Key[Array, "{n_clips}"]:
    keys = jax.vmap(lambda i: jax.random.fold_in(rng, i))(jnp.arange(n_clips))
    if not name:
        return keys
    return jax.vmap(lambda key: jax.random.fold_in(key, zlib.crc32(name.encode())))(keys)


def draw_per_clip(
    rng: Key[Array, ""], probability: float, n_clips: int
) -> Bool[Array, "{n_clips}"]:
    """Returns one coin throw per clip, True with `probability`; clip i uses `fold_in(rng, i)`."""
    keys = _clip_keys(rng, n_clips)
    return jax.vmap(lambda key: jax.random.bernoulli(key, probability))(keys)


def apply_draws(
    batch: Batch, draws: Draws, keys: Key[Array, "B"], *, fill: Sequence[float], taps: int
) -> Batch:
    """Returns `batch` with its clips changed by `draws`: geometry, colours, detail, JPEG, erasing.

    Which operations run is decided by the names in `draws` while tracing; their numbers are data.

    Args:
        batch: `clip` in [0, 1], `mask`, and `flow` where the recipe has it.
        draws: see `draw_operations`.
        keys: of the noise, one per clip.
        fill: colour of erased boxes.
        taps: of the blur.
    """
    changed = {**batch, **_apply_geometry(batch, draws)}
    clip = changed["clip"]
    if any(name in draws for name in COLOURS):
        colour = Colour(*(_numbers(draws, name, len(clip))[0] for name in COLOURS))
        clip = change_colour(clip, colour, mean_luma(clip, batch["mask"].astype(clip.dtype)))
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
    """The clips and flows seen from elsewhere: one sampling for all geometric operations."""
    changed = {name: batch[name] for name in ("clip", "flow") if name in batch}
    geometric = [name for name in GEOMETRIC if name in draws]
    if geometric == ["flip"]:  # pixels move as they are
        flipped = draws["flip"][:, 0] > 0
        changed["clip"] = flip_clips(changed["clip"], flipped)
        if "flow" in changed:
            changed["flow"] = flip_flow(changed["flow"], flipped)
    elif geometric:
        maps = make_maps(draws, changed["clip"].shape[-3:-1])
        turned = "rotate" in draws
        changed["clip"] = warp(changed["clip"], maps, turned=turned)
        if "flow" in changed:
            changed["flow"] = warp_vectors(changed["flow"], maps, turned=turned)
    return changed


def make_maps(draws: Draws, size: Sequence[int]) -> Maps:
    """Returns the one map per clip of all its geometric draws; see `ops.warp`.

    Args:
        draws: at least one operation.
        size: height and width, pixels.
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
    """The drawn numbers, one row each; those that change nothing where it is not on."""
    if name in draws:
        return draws[name].T
    return jnp.tile(jnp.array(OPERATIONS[name].nothing)[:, None], (1, count))


def _per_clip(values: Shaped[Array, "B"]) -> Shaped[Array, "B 1 1 1 1"]:
    return values[:, None, None, None, None]


def flip_clips(
    clip: Shaped[Array, "B T H W C"], flipped: Bool[Array, "B"]
) -> Shaped[Array, "B T H W C"]:
    """Returns the clips, those with `flipped` mirrored left to right in every frame."""
    return jnp.where(_per_clip(flipped), clip[..., ::-1, :], clip)


def flip_flow(
    flow: Shaped[Array, "B t H W 2"], flipped: Bool[Array, "B"]
) -> Shaped[Array, "B t H W 2"]:
    """Returns the flow of the clips that `flip_clips` gives: mirrored, and pointing the other way.

    What moved to the right in a picture moves to the left in its mirror image.
    """
    turned = flow[..., ::-1, :] * jnp.array([-1, 1], flow.dtype)
    return jnp.where(_per_clip(flipped), turned, flow)
