"""A backbone over the frames of a clip."""

from collections.abc import Mapping

import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array, Bool, Float


def encode_frames(
    network: nn.Module,
    clip: Float[Array, "B T H W 3"],
    mask: Bool[Array, "B T"],
    *,
    train: bool,
    levels: int = 1,
    remat: bool = False,
) -> dict[str, Float[Array, "B T _ _ _"]]:
    """Returns maps of every frame by the names of the backbone's endpoints: `top` and others.

    Args:
        network: `network(images, mask, *, train) -> {endpoint: maps}`, or the last maps alone.
        clip: normalised frames.
        mask: frames that are there; what the others hold changes nothing, statistics included.
        train: mode of the network.
        levels: with 2, 3, … also the last map of as many sizes before that of `top`.
        remat: compute the network again in the backward pass instead of keeping what it made.
    """
    b, t, *image = clip.shape
    # Whatever a padding frame holds, even NaN, must not reach a sum.
    frames = jnp.where(mask[:, :, None, None, None], clip, 0).reshape(b * t, *image)

    def run(network: nn.Module, frames: Array, valid: Array) -> dict[str, Array]:
        return _last_of_sizes(network(frames, valid, train=train), levels)

    chosen = (nn.remat(run) if remat else run)(network, frames, mask.reshape(b * t))
    return {name: maps.reshape(b, t, *maps.shape[1:]) for name, maps in chosen.items()}


def _last_of_sizes(maps: Mapping[str, Array] | Array, levels: int) -> dict[str, Array]:
    """The last map of each of the last `levels` sizes, the smallest first."""
    maps = maps if isinstance(maps, Mapping) else {"top": maps}
    found: dict[str, Array] = {}
    for name in reversed(list(maps)):
        if maps[name].shape[1] not in {kept.shape[1] for kept in found.values()}:
            found[name] = maps[name]
    return dict(list(found.items())[:levels])
