"""Layers that fuse several representations of the same clip."""

from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array, Bool, Float

from dfjax.models.layers import Compute, Dense
from dfjax.models.temporal_transformer import EPSILON, Attention

JOINS = ("none", "residual", "gate")


def weigh_views(
    vectors: Sequence[Float[Array, "B d"]], hidden: int, *, prefix: str = "attention"
) -> Float[Array, "B S"]:
    """Returns the weight of every view of a clip, by two dense layers and a softmax over views.

    The function must be called inside a compact module; its layers are called `PREFIX_hidden` and
    `PREFIX_weights`.

    Args:
        vectors: One vector per clip from each view.
        hidden: Width of the first layer.
        prefix: Prefix of the layers' names.
    """
    x = jnp.concatenate(vectors, axis=-1)
    x = jax.nn.relu(Dense(hidden, name=f"{prefix}_hidden")(x))
    return jax.nn.softmax(Dense(len(vectors), name=f"{prefix}_weights")(x))


class Join(nn.Module):
    """Joins the input of the temporal module (frame features) to its output (states).

    Attributes:
        kind: `residual` adds a linear projection of the features to the states. `gate` mixes both
            by a gate in (0, 1) per channel, which is computed from both (gated multimodal unit,
            Arevalo et al., 2017).
    """

    kind: str

    @nn.compact
    def __call__(
        self, states: Float[Array, "B T E"], features: Float[Array, "B T D"]
    ) -> Float[Array, "B T E"]:
        """Returns the new states.

        Args:
            states: Output of the temporal module.
            features: Input of the temporal module.
        """
        projected = Dense(states.shape[-1], name="projection")(features)
        if self.kind == "residual":
            return states + projected
        both = jnp.concatenate([states, projected], axis=-1)
        gate = jax.nn.sigmoid(Dense(states.shape[-1], name="gate")(both))
        return gate * states + (1 - gate) * projected


class AttendTo(nn.Module):
    """Attention of a clip's states to a sequence: multi-head, with a pre-norm residual branch.

    Attributes:
        heads: Number of attention heads.
        dropout: Dropout rate of the attention weights.
        compute: Dtype of the matrix products.
    """

    heads: int
    dropout: float = 0.0
    compute: Compute = Compute()

    @nn.compact
    def __call__(
        self,
        states: Float[Array, "B T E"],
        context: Float[Array, "B T D"],
        mask: Bool[Array, "B T"],
        *,
        train: bool,
    ) -> Float[Array, "B T E"]:
        """Returns the new states.

        Args:
            states: States of the clip, which give the queries.
            context: Sequence that gives the keys and values: the states themselves
                (self-attention), or other features of the same frames (cross-attention).
            mask: Which frames of `context` are valid.
            train: Whether dropout is active.
        """
        queries = nn.LayerNorm(epsilon=EPSILON, name="norm")(states)
        if context is states:
            keys = queries
        else:
            keys = nn.LayerNorm(epsilon=EPSILON, name="context_norm")(context)
        attention = Attention(self.heads, self.dropout, self.compute, name="attention")
        return states + attention(queries, keys, mask, train=train)


class Pathway(NamedTuple):
    """Output of one temporal pathway.

    Attributes:
        states: States of every frame.
        vector: Pooled states of the clip.
        attention: Weight of every frame in `vector`, or None if the pooling has no weights.
    """

    states: Float[Array, "B T E"]
    vector: Float[Array, "B E"]
    attention: Float[Array, "B T"] | None


def mix_pathways(first: Pathway, second: Pathway, weights: Float[Array, "B 2"]) -> Pathway:
    """Returns the mean of two pathways, weighted clip by clip.

    Args:
        first: First pathway.
        second: Second pathway.
        weights: Weights of both pathways for every clip.
    """

    def mean(a: Array, b: Array) -> Array:
        return jnp.einsum("sb...,bs->b...", jnp.stack([a, b]), weights)

    attention = None
    if first.attention is not None and second.attention is not None:
        attention = mean(first.attention, second.attention)
    return Pathway(mean(first.states, second.states), mean(first.vector, second.vector), attention)
