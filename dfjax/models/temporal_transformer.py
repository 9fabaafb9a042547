"""A Transformer encoder over the features of a clip (Vaswani et al., 2017)."""

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
EPSILON = 1e-5  # of layer normalisation, torch's
LONGEST = 10_000  # wavelength of the slowest sinusoid, in frames and over 2 pi


class Attention(nn.Module):
    """Multi-head attention of one sequence to another, or to itself.

    Attributes:
        heads: into which the width of the queries is divided.
        dropout: rate on the weights.
        compute: dtype of the products; the softmax is float32.
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
        """Returns, for every query, the mean of the values weighted by how their keys match it.

        Args:
            x: what asks.
            context: what is asked: keys and values come from it.
            mask: which of the context is there; a query that finds nothing gets the output bias.
            train: mode of dropout.
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
    """Self-attention and two linear layers, each added to what it reads.

    Attributes:
        heads: of the attention.
        feed_forward: width between the linear layers.
        norm_first: normalise what each branch reads (pre-norm) and not the sums (post-norm).
        activation: a key of ACTIVATIONS, between the linear layers.
        dropout: rate on the attention weights, between the linear layers and on both branches.
        compute: dtype of the products.
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
        """Returns the new features of every frame, f32."""
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
    """`EncoderLayer`s one after another, `layer1`, …, and no normalisation after the last.

    Attributes:
        layers: how many.
        heads: see `EncoderLayer`, as what follows.
        feed_forward: width between the linear layers.
        norm_first: pre-norm or post-norm.
        activation: between the linear layers.
        dropout: rate.
        compute: dtype of the products.
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
        """Returns the new features of every frame, f32; those outside the mask mean nothing.

        Args:
            x: features with their positions, finite also where the mask is False.
            mask: frames that others attend to.
            train: mode of dropout.
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
    """Returns fixed positions: sines in even columns and cosines in odd ones, of falling frequency.

    Args:
        length: frames.
        width: of the features.
    """
    column = np.arange(width)
    rate = LONGEST ** (-(column // 2 * 2) / width)
    angle = np.arange(length)[:, None] * rate
    return np.where(column % 2, np.cos(angle), np.sin(angle)).astype(np.float32)
