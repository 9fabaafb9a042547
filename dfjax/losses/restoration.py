"""Differences between restored clips and their targets, one value per clip."""

from collections.abc import Callable, Sequence

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

Clips = Float[Array, "B T H W 3"]
Mask = Bool[Array, "B T"]


def frame_mean(values: Float[Array, "B T *rest"], mask: Mask) -> Float[Array, "B"]:
    """Returns the mean of each clip's values over its valid frames; 0 without valid frames.

    Args:
        values: Values of each frame.
        mask: Which frames are valid. Values of the others may be anything.
    """
    frames = jnp.mean(values.reshape(*mask.shape, -1), axis=-1)
    kept = jnp.where(mask, frames, 0.0)
    return jnp.sum(kept, axis=1) / jnp.maximum(jnp.sum(mask, axis=1), 1)


def absolute_difference(restored: Clips, target: Clips, mask: Mask) -> Float[Array, "B"]:
    """Returns the mean absolute difference of the values of valid frames (L1).

    Args:
        restored: Restored clips.
        target: Targets.
        mask: Which frames are valid.
    """
    return frame_mean(jnp.abs(restored - target), mask)


def feature_difference(
    features: Callable[[Clips], Sequence[Float[Array, "B T _ _ _"]]],
    restored: Clips,
    target: Clips,
    mask: Mask,
) -> Float[Array, "B"]:
    """Returns the mean over maps of a network of the mean absolute difference of a map.

    This is the perceptual loss of Johnson et al. (2016) with absolute in place of squared
    differences, as in pix2pixHD (Wang et al., 2018), which limits the influence of single maps.

    Args:
        features: Function that returns several maps of every frame.
        restored: Restored clips.
        target: Targets, whose maps have no gradient.
        mask: Which frames are valid.
    """
    pairs = list(zip(features(restored), features(target), strict=True))
    values = [frame_mean(jnp.abs(a - b).astype(jnp.float32), mask) for a, b in pairs]
    return jnp.mean(jnp.stack(values), axis=0)
