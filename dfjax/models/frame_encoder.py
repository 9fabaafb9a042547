"""A backbone over the frames of a clip."""

from collections.abc import Sequence

import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array, Bool, Float


def encode_frames(
    network: nn.Module,
    clip: Float[Array, "B T H W 3"],
    mask: Bool[Array, "B T"],
    *,
    train: bool,
    endpoints: Sequence[str] = ("top",),
    remat: bool = False,
) -> dict[str, Float[Array, "B T _ _ _"]]:
    """Returns maps of every frame by the names of the backbone's `endpoints`.

    Args:
        network: `network(images, mask, *, train) -> {endpoint: maps}`.
        clip: normalised frames.
        mask: frames that are there; what the others hold changes nothing, statistics included.
        train: mode of the network.
        endpoints: which maps to keep.
        remat: compute the network again in the backward pass instead of keeping what it made.
    """
    b, t, *image = clip.shape
    # Whatever a padding frame holds, even NaN, must not reach a sum.
    frames = jnp.where(mask[:, :, None, None, None], clip, 0).reshape(b * t, *image)

    def run(network: nn.Module, frames: Array, valid: Array) -> dict[str, Array]:
        maps = network(frames, valid, train=train)
        return {name: maps[name] for name in endpoints}

    chosen = (nn.remat(run) if remat else run)(network, frames, mask.reshape(b * t))
    return {name: maps.reshape(b, t, *maps.shape[1:]) for name, maps in chosen.items()}
