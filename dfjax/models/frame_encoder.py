"""Applies a backbone to the frames of a clip."""

from collections.abc import Mapping
from typing import NamedTuple

import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array, Bool, Float

from dfjax.models.remat import recompute


class Encoded(NamedTuple):
    """The encoded frames of a clip.

    Attributes:
        vectors: Features of every frame.
        maps: Last maps of every frame; None with stored features.
        outputs: Outputs of the model so far.
    """

    vectors: Float[Array, "B T D"]
    maps: Float[Array, "B T h w C"] | None
    outputs: dict[str, Array]


def encode_frames(
    network: nn.Module,
    clip: Float[Array, "B T H W c"],
    mask: Bool[Array, "B T"],
    *,
    train: bool,
    levels: int = 1,
    remat: str = "none",
) -> dict[str, Float[Array, "B T _ _ _"]]:
    """Returns the maps of every frame by the names of the backbone's endpoints.

    Args:
        network: Backbone `network(images, mask, *, train)`, which returns `{endpoint: maps}` or
            only its last maps.
        clip: Normalised frames, RGB or with further channels.
        mask: Which frames are valid. The others change neither maps nor batch statistics.
        train: Whether the network runs in training mode.
        levels: Number of map sizes to return: the last map of each of the last `levels` sizes.
            With 1, only `top` is returned.
        remat: What the backward pass recomputes (see `dfjax.models.remat`).
    """
    b, t, *image = clip.shape
    # Padding frames may hold anything, even NaN, which must not reach a sum.
    frames = jnp.where(mask[:, :, None, None, None], clip, 0).reshape(b * t, *image)

    def run(network: nn.Module, frames: Array, valid: Array) -> dict[str, Array]:
        return _last_of_sizes(network(frames, valid, train=train), levels)

    chosen = recompute(run, remat)(network, frames, mask.reshape(b * t))
    return {name: maps.reshape(b, t, *maps.shape[1:]) for name, maps in chosen.items()}


def _last_of_sizes(maps: Mapping[str, Array] | Array, levels: int) -> dict[str, Array]:
    """Returns the last map of each of the last `levels` sizes, the smallest first."""
    maps = maps if isinstance(maps, Mapping) else {"top": maps}
    found: dict[str, Array] = {}
    for name in reversed(list(maps)):
        if maps[name].shape[1] not in {kept.shape[1] for kept in found.values()}:
            found[name] = maps[name]
    return dict(list(found.items())[:levels])
