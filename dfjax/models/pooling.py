"""From the features of every frame to one vector per clip."""

import functools

import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array, Bool, Float

from dfjax.models.initializers import LECUN

Dense = functools.partial(nn.Dense, kernel_init=LECUN)


class TemporalAttention(nn.Module):
    """Mean over frames, weighted by one linear score per frame and a softmax over valid frames."""

    @nn.compact
    def __call__(
        self, x: Float[Array, "B T D"], mask: Bool[Array, "B T"]
    ) -> tuple[Float[Array, "B D"], Float[Array, "B T"]]:
        """Returns the pooled features and the weight of every frame, 0 outside the mask."""
        x = jnp.where(mask[..., None], x, 0)
        weights = masked_softmax(Dense(1, name="score")(x)[..., 0], mask)
        return jnp.einsum("btd,bt->bd", x, weights), weights


def masked_softmax(
    scores: Float[Array, "*batch n"], mask: Bool[Array, "*batch n"]
) -> Float[Array, "*batch n"]:
    """Returns the softmax over the last axis of what the mask admits; zeros where that is none."""
    top = jnp.max(scores, axis=-1, keepdims=True, where=mask, initial=jnp.finfo(scores.dtype).min)
    # The inner choice keeps exp finite, whose infinity would be a NaN in the gradient.
    powers = jnp.where(mask, jnp.exp(jnp.where(mask, scores - top, 0)), 0)
    return powers / jnp.maximum(powers.sum(-1, keepdims=True), jnp.finfo(scores.dtype).tiny)
