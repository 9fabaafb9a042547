"""How values per clip become one number: weights and the mean are applied here and only here."""

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
    """Returns the mean of `values` weighted by `weight`; 0 where all weights are 0.

    A clip of weight 0 is padding: its value does not reach the sum, not even when it is not finite.

    Args:
        values: One value per clip.
        weight: Weight of each clip, 0 or larger.
        total: Sum of weights to divide by, for clips that are part of a larger batch; the sum of
            `weight` otherwise.
    """
    total = jnp.sum(weight) if total is None else total
    kept = jnp.where(weight > 0, values, 0.0)
    return jnp.where(total > 0, jnp.sum(kept * weight) / jnp.where(total > 0, total, 1.0), 0.0)


def blank_padding(tree: Tree, weight: Float[Array, "B"]) -> Tree:
    """Returns `tree` with zeros in place of the floating-point values of clips of weight 0.

    `weighted_mean` keeps such a clip out of a loss, but not out of its gradient: behind a value
    that is not finite, backpropagation multiplies its zero by NaN. It has to stand before every
    function whose derivative might be that: the model (for its inputs) and the loss (for what the
    model returned). Masks, integers and arrays that are not per clip stay as they are.

    Args:
        tree: Arrays whose first dimension counts clips.
        weight: Weight of each clip.
    """

    def blank(leaf: Array) -> Array:
        if leaf.shape[:1] != weight.shape or not jnp.issubdtype(leaf.dtype, jnp.floating):
            return leaf
        padding = (weight <= 0).reshape(-1, *[1] * (leaf.ndim - 1))
        return jnp.where(padding, jnp.zeros((), leaf.dtype), leaf)

    return jax.tree.map(blank, tree)
