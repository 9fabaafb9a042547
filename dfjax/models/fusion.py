"""How several views of the same clip become one."""

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
    """Returns the weight of every view of a clip: a softmax over what two layers make of them all.

    To be called inside a compact module, whose layers it makes: `PREFIX_hidden`, `PREFIX_weights`.

    Args:
        vectors: one per view.
        hidden: width of the first layer.
        prefix: of the names of the layers.
    """
    x = jnp.concatenate(vectors, axis=-1)
    x = jax.nn.relu(Dense(hidden, name=f"{prefix}_hidden")(x))
    return jax.nn.softmax(Dense(len(vectors), name=f"{prefix}_weights")(x))


class Join(nn.Module):
    """Lets what was known of a frame before the temporal module stand beside its states.

    Attributes:
        kind: `residual` adds a linear projection of the features to the states; `gate` mixes the
            two, by a gate in (0, 1) per channel that sees both (Arevalo et al., 2017).
    """

    kind: str

    @nn.compact
    def __call__(
        self, states: Float[Array, "B T E"], features: Float[Array, "B T D"]
    ) -> Float[Array, "B T E"]:
        """Returns the new states.

        Args:
            states: of the temporal module.
            features: what it read.
        """
        projected = Dense(states.shape[-1], name="projection")(features)
        if self.kind == "residual":
            return states + projected
        both = jnp.concatenate([states, projected], axis=-1)
        gate = jax.nn.sigmoid(Dense(states.shape[-1], name="gate")(both))
        return gate * states + (1 - gate) * projected


class AttendTo(nn.Module):
    """Adds what the states of a clip find in a sequence: multi-head attention, pre-norm residual.

    Attributes:
        heads: of the attention.
        dropout: rate on its weights.
        compute: dtype of the products.
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
            states: what asks.
            context: what is asked: the states themselves, or other features of the same frames.
            mask: frames that are there.
            train: mode of dropout.
        """
        queries = nn.LayerNorm(epsilon=EPSILON, name="norm")(states)
        if context is states:
            keys = queries
        else:
            keys = nn.LayerNorm(epsilon=EPSILON, name="context_norm")(context)
        attention = Attention(self.heads, self.dropout, self.compute, name="attention")
        return states + attention(queries, keys, mask, train=train)


class Pathway(NamedTuple):
    """One way of looking along a clip.

    Attributes:
        states: of every frame.
        vector: what is pooled of them.
        attention: weight of every frame in it, where it has one.
    """

    states: Float[Array, "B T E"]
    vector: Float[Array, "B E"]
    attention: Float[Array, "B T"] | None


def mix_pathways(first: Pathway, second: Pathway, weights: Float[Array, "B 2"]) -> Pathway:
    """Returns the mean of two pathways by the weights that each clip gives them."""

    def mean(a: Array, b: Array) -> Array:
        return jnp.einsum("sb...,bs->b...", jnp.stack([a, b]), weights)

    attention = None
    if first.attention is not None and second.attention is not None:
        attention = mean(first.attention, second.attention)
    return Pathway(mean(first.states, second.states), mean(first.vector, second.vector), attention)
