"""Gradients of a batch that goes through the model in equal parts, one after the other."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from dfjax.shapes import Batch


class Gradients(NamedTuple):
    """Loss and gradients of a batch or of a part of it.

    Attributes:
        loss: Weighted sum of the losses of the clips, divided by the total weight of the batch.
        grads: Gradient of `loss`, a tree with the structure of the parameters.
        batch_stats: Batch statistics of the model after these clips.
        clips: Values of each clip, a tree of f32[B].
    """

    loss: Float[Array, ""]
    grads: Any
    batch_stats: Any
    clips: Any


PartFn = Callable[[Any, Any, Batch, Int[Array, ""] | int], Gradients]
"""`(params, batch_stats, part of the batch, index of the part) -> Gradients`."""


def accumulate(
    compute: PartFn, params: Any, batch_stats: Any, batch: Batch, *, parts: int, together: int = 1
) -> Gradients:
    """Returns the gradients of `batch`, computed in `parts` parts one after the other.

    Losses and gradients of the parts are summed. Every part starts from the batch statistics that
    the part before it returned, so BatchNorm normalises over a part and not over the batch. Parts
    are strided, so that no clip moves to another device.

    Args:
        compute: Function that returns the gradients of a part.
        params: Parameters of the model.
        batch_stats: Batch statistics before the batch.
        batch: Clips, a multiple of `parts * together` of them.
        parts: Number of parts.
        together: Number of neighbouring clips that stay in one part. It has to be 2 where real and
            fake clips alternate: otherwise a part would hold one class only, and its batch
            statistics would reveal the label.
    """
    if parts == 1:
        return compute(params, batch_stats, batch, 0)
    split = {k: v.reshape(-1, parts, together, *v.shape[1:]) for k, v in batch.items()}

    def add(carry: Any, number: Any) -> tuple[Any, Any]:
        batch_stats, sums = carry
        part = {k: v[:, number].reshape(-1, *v.shape[3:]) for k, v in split.items()}
        loss, grads, batch_stats, clips = compute(params, batch_stats, part, number)
        clips = jax.tree.map(lambda v: v.reshape(-1, together), clips)
        return (batch_stats, jax.tree.map(jnp.add, sums, (loss, grads))), clips

    zero = (jnp.zeros(()), jax.tree.map(jnp.zeros_like, params))
    (batch_stats, (loss, grads)), clips = jax.lax.scan(add, (batch_stats, zero), jnp.arange(parts))
    clips = jax.tree.map(lambda v: v.swapaxes(0, 1).reshape(-1), clips)  # the batch's order
    return Gradients(loss, grads, batch_stats, clips)
