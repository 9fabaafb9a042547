"""Blocks of vision transformers: self-attention and feed-forward networks, after normalisations."""

import functools
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from flax import linen as nn
from jaxtyping import Array, Float

from dfjax.models.layers import Compute, Dense
from dfjax.models.remat import mark_block
from dfjax.models.vit_positions import rotate
from dfjax.models.vit_variants import Variant

ACTIVATIONS: dict[str, Callable[[Array], Array]] = {
    "gelu": functools.partial(jax.nn.gelu, approximate=False),
    "quick_gelu": lambda x: x * jax.nn.sigmoid(1.702 * x),  # of CLIP
    "silu": jax.nn.silu,
}


class LayerScale(nn.Module):
    """A learned factor for every channel of a residual branch (Touvron et al., 2021)."""

    @nn.compact
    def __call__(self, x: Float[Array, "n N D"]) -> Float[Array, "n N D"]:
        """Returns `x` multiplied by the factors, 1 at first."""
        return x * self.param("scale", nn.initializers.ones, x.shape[-1:]).astype(x.dtype)


class SelfAttention(nn.Module):
    """Multi-head self-attention of the tokens of an image.

    Attributes:
        variant: Network.
        compute: Dtype of the products. The softmax is float32.
    """

    variant: Variant
    compute: Compute

    @nn.compact
    def __call__(
        self, x: Float[Array, "n N D"], angles: Float[np.ndarray, "p d"] | None
    ) -> Float[Array, "n N D"]:
        """Returns the attention output of every token.

        Args:
            x: Tokens.
            angles: Rotary positions of the patches, or None for none.
        """
        v = self.variant

        def heads(name: str, *, bias: bool = True) -> Array:
            y = _dense(v.width, self.compute, name, use_bias=bias)(x)
            return y.reshape(*y.shape[:2], v.heads, v.width // v.heads)

        query, key, value = heads("query"), heads("key", bias=v.key_bias), heads("value")
        if angles is not None:
            query, key = rotate(query, angles), rotate(key, angles)
        mixed = jax.nn.dot_product_attention(query, key, value)
        return _dense(v.width, self.compute, "output")(mixed.reshape(x.shape))


class FeedForward(nn.Module):
    """The feed-forward network of a block, gated (SwiGLU) or not.

    Attributes:
        variant: Network.
        compute: Dtype of the products.
    """

    variant: Variant
    compute: Compute

    @nn.compact
    def __call__(self, x: Float[Array, "n N D"]) -> Float[Array, "n N D"]:
        """Returns the output for every token."""
        v, compute = self.variant, self.compute
        hidden, activate = int(v.hidden * v.width), ACTIVATIONS[v.activation]
        y = _dense(hidden, compute, "hidden")(x)
        y = y * activate(_dense(hidden, compute, "gate")(x)) if v.gated else activate(y)
        return _dense(v.width, compute, "output")(y)


class TransformerBlock(nn.Module):
    """Pre-norm transformer block: residual branches of self-attention and of a feed-forward net.

    Attributes:
        variant: Network.
        compute: Dtype of the products and of the tokens.
    """

    variant: Variant
    compute: Compute

    @nn.compact
    def __call__(
        self,
        x: Float[Array, "n N D"],
        kept: Float[Array, "2 n"] | None,
        angles: Float[np.ndarray, "p d"] | None,
        *,
        train: bool,
    ) -> Float[Array, "n N D"]:
        """Returns the new tokens.

        Args:
            x: Tokens.
            kept: Factors of both residual branches for every image, 0 where stochastic depth drops
                the branch; None for 1.
            angles: Rotary positions of the patches, or None.
            train: Whether the output is marked for the rematerialisation of blocks.
        """
        v = self.variant
        branches: tuple[tuple[str, Callable[[Array], Array]], ...] = (
            ("attention", lambda y: SelfAttention(v, self.compute, name="attention")(y, angles)),
            ("mlp", FeedForward(v, self.compute, name="mlp")),
        )
        for number, (name, branch) in enumerate(branches):
            y = branch(layer_norm(v, self.compute, f"{name}_norm")(x))
            if v.layer_scale:
                y = LayerScale(name=f"{name}_scale")(y)
            if kept is not None:
                y = y * kept[number][:, None, None].astype(y.dtype)
            x = x + y
        return mark_block(x, train=train)


def layer_norm(variant: Variant, compute: Compute, name: str) -> nn.LayerNorm:
    """Returns the layer normalisation of a network; its statistics are float32."""
    return nn.LayerNorm(variant.epsilon, compute.dtype, use_fast_variance=False, name=name)


def _dense(features: int, compute: Compute, name: str, *, use_bias: bool = True) -> nn.Dense:
    """Returns a linear layer of tokens.

    With the lowering for CPUs it multiplies matrices: XLA's CPU backend transposes the tokens of a
    batch [n, N, D] one value at a time for the gradient of the kernel.
    """
    product = _multiply_flat if compute.lowering.matmul else None
    return Dense(features, use_bias=use_bias, dtype=compute.dtype, name=name, dot_general=product)


def _multiply_flat(x: Array, kernel: Array, dimensions: Any, **options: Any) -> Array:
    """Returns `jax.lax.dot_general` of tokens [..., D] and a kernel [D, K], as matrices."""
    del dimensions  # the last axis and the first
    flat = x.reshape(-1, x.shape[-1])
    y = jax.lax.dot_general(flat, kernel, (((1,), (0,)), ((), ())), **options)
    return y.reshape(*x.shape[:-1], -1)
