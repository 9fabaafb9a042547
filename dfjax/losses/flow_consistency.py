"""Flow consistency: a restored clip moves as its target does."""

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from dfjax.ops.flow import find_consistent, warp_back


def flow_difference(
    clips: Float[Array, "B T H W 3"],
    flow: Float[Array, "B t H W 2"],
    mask: Bool[Array, "B T"],
    known: Bool[Array, "B t"],
) -> Float[Array, "B"]:
    """Returns the mean absolute difference between each frame and the next one warped back to it.

    The mean is over the pixels that are visible in both frames (see `ops.flow.find_consistent`) of
    the pairs of valid frames whose flow is known. It is 0 if there are none, and for a clip that
    moves exactly along the flow.

    Args:
        clips: Clips.
        flow: Flow of the targets of the clips, from each of the first T - 1 frames to the next.
        mask: Which frames are valid.
        known: Which flows are known. The others are stored as zero, which is no motion.
    """
    b, t = mask.shape
    before, after = (
        part.reshape(b * (t - 1), *clips.shape[2:]) for part in (clips[:, :-1], clips[:, 1:])
    )
    moves = flow.reshape(b * (t - 1), *flow.shape[2:])
    visible = find_consistent(moves).reshape(b, t - 1, *flow.shape[2:4])
    visible &= (mask[:, :-1] & mask[:, 1:] & known)[:, :, None, None]
    difference = jnp.mean(jnp.abs(warp_back(after, moves) - before), axis=-1)
    kept = jnp.where(visible, difference.reshape(visible.shape), 0.0)
    return jnp.sum(kept, (1, 2, 3)) / jnp.maximum(jnp.sum(visible, (1, 2, 3)), 1)
