"""Transformer encoder over the features of a clip (Vaswani et al., 2017)."""

import math

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from jaxtyping import Array, Bool, Float

from dfjax.models.layers import Compute, Dense, Dropout
from dfjax.models.pooling import masked_softmax

POSITIONS = ("sinusoidal", "learned", "none")
ACTIVATIONS = {"gelu": lambda x: jax.nn.gelu(x, approximate=False), "relu": jax.nn.relu}
EPSILON = 1e-5  # of layer normalisation, as in torch
LONGEST = 10_000  # longest wavelength of the sinusoids divided by 2 pi, in frames


class Attention(nn.Module):
    """Multi-head attention of one sequence to another sequence or to itself.

    Attributes:
        heads: Number of heads, a divisor of the width of the queries.
        dropout: Dropout rate of the attention weights.
        compute: Dtype of the products. The softmax is float32.
    """

    heads: int
    dropout: float = 0.0
    compute: Compute = Compute()

    @nn.compact
    def __call__(
        self,
        x: Float[Array, "B N D"],
        context: Float[Array, "B T E"],
        mask: Bool[Array, "B T"],
        *,
        train: bool,
    ) -> Float[Array, "B N D"]:
        """Returns the attention output for every query.

        Args:
            x: Sequence that gives the queries.
            context: Sequence that gives the keys and values.
            mask: Which entries of `context` are valid. Without any, the result is the output bias.
            train: Whether dropout is active.
        """
        width, dtype = x.shape[-1], self.compute.dtype

        def heads(name: str, source: Array) -> Array:
            y = Dense(width, dtype=dtype, name=name)(source)
            return y.reshape(*y.shape[:2], self.heads, width // self.heads)

        q, k, v = heads("query", x), heads("key", context), heads("value", context)
        scores = jnp.einsum("bnhd,bthd->bhnt", q, k).astype(jnp.float32)
        valid = jnp.broadcast_to(mask[:, None, None], scores.shape)
        weights = masked_softmax(scores / math.sqrt(width // self.heads), valid)
        weights = Dropout(self.dropout, name="weights_dropout")(weights, train=train)
        mixed = jnp.einsum("bhnt,bthd->bnhd", weights.astype(dtype), v)
        return Dense(width, dtype=dtype, name="output")(mixed.reshape(*x.shape))


class EncoderLayer(nn.Module):
    """Encoder layer: residual branches of self-attention and of a feed-forward network.

    Attributes:
        heads: Number of attention heads.
        feed_forward: Hidden width of the feed-forward network.
        norm_first: Whether the inputs of the branches are normalised (pre-norm) instead of the
            sums (post-norm).
        activation: Activation of the feed-forward network, a key of ACTIVATIONS.
        dropout: Dropout rate of the attention weights, of the hidden layer and of both branches.
        compute: Dtype of the products.
    """

    heads: int
    feed_forward: int
    norm_first: bool = True
    activation: str = "gelu"
    dropout: float = 0.1
    compute: Compute = Compute()

    @nn.compact
    def __call__(
        self, x: Float[Array, "B T D"], mask: Bool[Array, "B T"], *, train: bool
    ) -> Float[Array, "B T D"]:
        """Returns the new features of every frame, float32."""
        dtype, rate = self.compute.dtype, self.dropout

        def attend(x: Array) -> Array:
            layer = Attention(self.heads, rate, self.compute, name="attention")
            return Dropout(rate, name="attention_dropout")(
                layer(x, x, mask, train=train), train=train
            )

        def feed_forward(x: Array) -> Array:
            x = Dense(self.feed_forward, dtype=dtype, name="hidden")(x)
            x = ACTIVATIONS[self.activation](x)
            x = Dropout(rate, name="hidden_dropout")(x, train=train)
            x = Dense(width, dtype=dtype, name="output")(x)
            return Dropout(rate, name="output_dropout")(x, train=train)

        width = x.shape[-1]
        for name, branch in (("attention", attend), ("output", feed_forward)):
            norm = nn.LayerNorm(epsilon=EPSILON, name=f"{name}_norm")
            x = x + branch(norm(x)) if self.norm_first else norm(x + branch(x))
        return x


class Encoder(nn.Module):
    """Stacked `EncoderLayer`s, called `layer1`, …, without a normalisation after the last.

    Attributes:
        layers: Number of layers.
        heads: Number of attention heads.
        feed_forward: Hidden width of the feed-forward networks.
        norm_first: Whether the layers are pre-norm instead of post-norm.
        activation: Activation of the feed-forward networks, a key of ACTIVATIONS.
        dropout: Dropout rate (see `EncoderLayer`).
        compute: Dtype of the products.
    """

    layers: int = 4
    heads: int = 4
    feed_forward: int = 512
    norm_first: bool = True
    activation: str = "gelu"
    dropout: float = 0.1
    compute: Compute = Compute()

    @nn.compact
    def __call__(
        self, x: Float[Array, "B T D"], mask: Bool[Array, "B T"], *, train: bool
    ) -> Float[Array, "B T D"]:
        """Returns the new features of every frame, float32; those outside the mask are undefined.

        Args:
            x: Features with positions added, finite also where the mask is False.
            mask: Which frames are valid; only these are attended to.
            train: Whether dropout is active.
        """
        for number in range(1, self.layers + 1):
            x = EncoderLayer(
                self.heads,
                self.feed_forward,
                self.norm_first,
                self.activation,
                self.dropout,
                self.compute,
                name=f"layer{number}",
            )(x, mask, train=train)
        return x


def sinusoids(length: int, width: int) -> Float[np.ndarray, "{length} {width}"]:
    """Returns sinusoidal positions: sines in even columns and cosines in odd columns.

    The frequency decreases with the column (Vaswani et al., 2017, section 3.5).

    Args:
        length: Number of frames.
        width: Width of the features.
    """
    column = np.arange(width)
    rate = LONGEST ** (-(column // 2 * 2) / width)
    angle = np.arange(length)[:, None] * rate
    return np.where(column % 2, np.cos(angle), np.sin(angle)).astype(np.float32)
