"""Draws the random numbers of augmentation, once per clip and operation.

The key of a clip depends on its position in the batch, so that the numbers do not depend on the
size of the batch. A self-blended clip has the position of the real clip before it.
"""

import math
import zlib
from collections.abc import Mapping

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, Key

from dfjax.data.transforms.augment_operations import BOX, DEVIATION, LIMITED, OPERATIONS, Values
from dfjax.data.transforms.augment_presets import OneOf
from dfjax.shapes import Batch

Draws = Mapping[str, Float[Array, "B _"]]
"""Drawn numbers of each operation for each clip. The neutral ones are `Operation.nothing`."""

Places = Int[Array, "B"]
"""The position of each clip, on which its key depends."""


def find_places(batch: Batch) -> Places:
    """Returns the positions of the clips; of a self-blended one, that of its real clip before it.

    With paired data a real clip stands before its blended version, so that both are augmented
    alike, as in the code of Shiohara and Yamasaki 2022. Other blended clips have their own place.

    Args:
        batch: Batch with `clip`, and optionally `blend bool[B]` with `video_index i32[B]`.
    """
    places = jnp.arange(len(batch["clip"]))
    if "blend" not in batch:
        return places
    video = batch["video_index"]
    follows = batch["blend"] & (video == jnp.roll(video, 1)) & (places > 0)
    return places - follows


def draw_operations(
    rng: Key[Array, ""], operations: Mapping[str, Values], places: Places
) -> dict[str, Float[Array, "B _"]]:
    """Returns the numbers of every operation for every clip, drawn independently.

    Ranges are drawn uniformly, and the aspect ratios of boxes log-uniformly.

    Args:
        rng: Key of the batch. Clip i uses the key `fold_in(fold_in(rng, i), crc32(name))`, and
            `fold_in(rng, i)` for the flip, where i is its place.
        operations: Values of the operations by name.
        places: Position of each clip.
    """
    draws = {}
    for name, values in operations.items():
        if name == "flip":
            draws[name] = draw_per_clip(rng, values[0], places).astype(jnp.float32)[:, None]
        else:
            keys = clip_keys(rng, places, name)
            draws[name] = jax.vmap(lambda key, n=name, v=values: _draw(key, n, v))(keys)
    return draws


def _draw(key: Key[Array, ""], name: str, values: Values) -> Float[Array, "_"]:
    operation = OPERATIONS[name]
    chance, amount = jax.random.split(key)
    nothing = jnp.array(operation.nothing)
    if operation.values == DEVIATION:
        drawn = values[1] * jax.random.normal(amount, nothing.shape)
    elif operation.values in LIMITED:
        limits = jnp.array(values[1:])
        drawn = limits * jax.random.uniform(amount, nothing.shape, minval=-1.0)
    else:
        share = jax.random.uniform(amount, nothing.shape)
        low, high = values[1:3]
        drawn = low + share * (high - low)
        if operation.values == BOX:
            least, most = math.log(values[3]), math.log(values[4])
            ratio = jnp.exp(least + share[1] * (most - least))
            drawn = jnp.stack([drawn[0], ratio, *share[2:]])
    return jnp.where(jax.random.bernoulli(chance, values[0]), drawn, nothing)


def keep_one(
    rng: Key[Array, ""], draws: Draws, one_of: OneOf, places: Places
) -> dict[str, Float[Array, "B _"]]:
    """Returns the draws with at most one alternative of a group kept for every clip.

    Args:
        rng: Key of the batch. Clip i uses the key `fold_in(fold_in(rng, i), crc32("one of"))`.
        draws: Drawn numbers of all operations (see `draw_operations`).
        one_of: Group of operations.
        places: Position i of each clip.
    """
    keys = clip_keys(rng, places, "one of")
    share = jax.vmap(jax.random.uniform)(keys) / one_of.probability  # 1 or more: no alternative
    place = jnp.floor(share * len(one_of.alternatives))
    kept = dict(draws)
    for number, names in enumerate(one_of.alternatives):
        for name in names:
            nothing = jnp.array(OPERATIONS[name].nothing)
            kept[name] = jnp.where((place == number)[:, None], draws[name], nothing)
    return kept


def clip_keys(rng: Key[Array, ""], places: Places, name: str = "") -> Key[Array, "B"]:
    """Returns one key per clip, `fold_in(rng, i)`, or `fold_in(fold_in(rng, i), crc32(name))`.

    Args:
        rng: Key of the batch.
        places: Position i of each clip.
        name: Name of what is drawn, or empty for none.
    """
    keys = jax.vmap(lambda i: jax.random.fold_in(rng, i))(places)
    if not name:
        return keys
    return jax.vmap(lambda key: jax.random.fold_in(key, zlib.crc32(name.encode())))(keys)


def draw_per_clip(rng: Key[Array, ""], probability: float, places: Places) -> Bool[Array, "B"]:
    """Returns one boolean per clip, which is True with a probability.

    Args:
        rng: Key of the batch. Clip i uses the key `fold_in(rng, i)`.
        probability: Probability of True.
        places: Position i of each clip.
    """
    keys = clip_keys(rng, places)
    return jax.vmap(lambda key: jax.random.bernoulli(key, probability))(keys)
