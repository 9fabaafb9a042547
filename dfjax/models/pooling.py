"""Temporal pooling: reduces the features of all frames to one vector per clip."""

import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array, Bool, Float

from dfjax.models.initializers import LECUN
from dfjax.models.layers import Dense


def masked_mean(x: Float[Array, "B T D"], mask: Bool[Array, "B T"]) -> Float[Array, "B D"]:
    """Returns the mean of `x` over the valid frames of each clip, or zeros without valid frames."""
    weight = mask.astype(x.dtype)
    return jnp.einsum("btd,bt->bd", x, weight) / jnp.maximum(weight.sum(1), 1)[:, None]


def last_state(
    x: Float[Array, "B T D"], mask: Bool[Array, "B T"], *, bidirectional: bool
) -> Float[Array, "B D"]:
    """Returns `x` at the last valid frame of each clip, or zeros without valid frames.

    Args:
        x: Features or states.
        mask: Which frames are valid.
        bidirectional: Whether the second half of D are states of the backward direction. These are
            taken at the first valid frame, where that direction ends.
    """
    b, t, width = x.shape
    number = jnp.arange(t)
    last = jnp.max(jnp.where(mask, number, 0), axis=1)
    first = jnp.min(jnp.where(mask, number, t - 1), axis=1) if bidirectional else last
    half = width // 2
    frames = jnp.where(jnp.arange(width) < half, last[:, None], first[:, None])  # [B, D]
    picked = jnp.take_along_axis(x, frames[:, None, :], axis=1)[:, 0]
    return jnp.where(mask.any(1)[:, None], picked, 0)


class QueryAttention(nn.Module):
    """Mean over frames, weighted by dot-product attention of one learned query to the frames."""

    @nn.compact
    def __call__(
        self, x: Float[Array, "B T D"], mask: Bool[Array, "B T"]
    ) -> tuple[Float[Array, "B D"], Float[Array, "B T"]]:
        """Returns the pooled features and the weight of every frame, 0 outside the mask."""
        width = x.shape[-1]
        # With this initialisation, the scores of normalised features have variance 1.
        query = self.param("query", LECUN, (width, 1), jnp.float32)[:, 0]
        x = jnp.where(mask[..., None], x, 0)
        weights = masked_softmax(x @ query, mask)
        return jnp.einsum("btd,bt->bd", x, weights), weights


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
    """Returns the softmax over the valid entries of the last axis, or zeros without any.

    Args:
        scores: Scores.
        mask: Which entries are valid; the others get the weight 0.
    """
    top = jnp.max(scores, axis=-1, keepdims=True, where=mask, initial=jnp.finfo(scores.dtype).min)
    # The inner `where` keeps exp finite; an infinite value would give a NaN gradient.
    powers = jnp.where(mask, jnp.exp(jnp.where(mask, scores - top, 0)), 0)
    return powers / jnp.maximum(powers.sum(-1, keepdims=True), jnp.finfo(scores.dtype).tiny)
