"""The weighted mean of the values of clips."""

from typing import TypeVar

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

Tree = TypeVar("Tree")


def weighted_mean(
    values: Float[Array, "B"],
    weight: Float[Array, "B"],
    total: Float[Array, ""] | None = None,
) -> Float[Array, ""]:
    """Returns the mean of `values` weighted by `weight`, or 0 if all weights are 0.

    Clips of weight 0 are padding; their values are not added, even if they are not finite.

    Args:
        values: One value per clip.
        weight: Weight of each clip, 0 or larger.
        total: Sum of the weights of a larger batch that the clips are part of; None for the sum of
            `weight`.
    """
    total = jnp.sum(weight) if total is None else total
    kept = jnp.where(weight > 0, values, 0.0)
    return jnp.where(total > 0, jnp.sum(kept * weight) / jnp.where(total > 0, total, 1.0), 0.0)


def blank_padding(tree: Tree, weight: Float[Array, "B"]) -> Tree:
    """Returns `tree` with zeros in place of the floating-point values of clips of weight 0.

    `weighted_mean` leaves such clips out of the loss, but not out of its gradient: if a derivative
    is not finite, backpropagation multiplies it by zero, which gives NaN. This function therefore
    has to be applied to the inputs of the model and to the inputs of the loss. Masks, integers and
    arrays without an entry per clip are returned unchanged.

    Args:
        tree: Tree of arrays.
        weight: Weight of each clip.
    """

    def blank(leaf: Array) -> Array:
        if leaf.shape[:1] != weight.shape or not jnp.issubdtype(leaf.dtype, jnp.floating):
            return leaf
        padding = (weight <= 0).reshape(-1, *[1] * (leaf.ndim - 1))
        return jnp.where(padding, jnp.zeros((), leaf.dtype), leaf)

    return jax.tree.map(blank, tree)
