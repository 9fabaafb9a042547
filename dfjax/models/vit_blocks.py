"""Blocks of vision transformers: self-attention and feed-forward networks, after normalisations."""

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from jaxtyping import Array, Float

from dfjax.models.entry import LOW_RANK
from dfjax.models.initializers import LECUN
from dfjax.models.layers import Compute
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

    `jax.nn.dot_product_attention` runs with its default implementation, which in JAX 0.10 is XLA's
    on every platform: two products of matrices and a softmax, which keep the weights of all pairs
    of tokens (257 tokens in CLIP L/14: 2 MB per image and block in bfloat16). The alternative
    `cudnn`, a flash kernel, needs float16 or bfloat16 and an NVIDIA GPU, so that programs with it
    run nowhere else.

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
            y = TokenDense(v.width, self.compute, bias, name=name)(x)
            return y.reshape(*y.shape[:2], v.heads, v.width // v.heads)

        query, key, value = heads("query"), heads("key", bias=v.key_bias), heads("value")
        if angles is not None:
            query, key = rotate(query, angles), rotate(key, angles)
        mixed = jax.nn.dot_product_attention(query, key, value)
        return TokenDense(v.width, self.compute, name="output")(mixed.reshape(x.shape))


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
        y = TokenDense(hidden, compute, name="hidden")(x)
        y = y * activate(TokenDense(hidden, compute, name="gate")(x)) if v.gated else activate(y)
        return TokenDense(v.width, compute, name="output")(y)


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


class TokenDense(nn.Module):
    """A linear layer of tokens, whose kernel may have a change of low rank.

    If the collection `low_rank` has the matrices `down` [D, r] and `up` [r, K] of this layer, the
    kernel is W + down · up. The product is not computed: its gradient would have the size of W, and
    would be summed over all devices.

    Attributes:
        features: Number of outputs K.
        compute: Dtype of the products. With the lowering for CPUs these are products of matrices:
            XLA's CPU backend transposes the tokens of a batch [n, N, D] one value at a time for the
            gradient of the kernel.
        use_bias: Whether a bias is added.
    """

    features: int
    compute: Compute
    use_bias: bool = True

    @nn.compact
    def __call__(self, x: Float[Array, "n N D"]) -> Float[Array, "n N K"]:
        """Returns the output for every token."""
        dtype, tokens = self.compute.dtype, x.shape[:-1]
        kernel = self.param("kernel", LECUN, (x.shape[-1], self.features), jnp.float32)
        x = x.astype(dtype)
        if self.compute.lowering.matmul:
            x = x.reshape(-1, x.shape[-1])
        y = x @ kernel.astype(dtype)
        if self.has_variable(LOW_RANK, "down"):
            down: Array = self.get_variable(LOW_RANK, "down").astype(dtype)
            up: Array = self.get_variable(LOW_RANK, "up").astype(dtype)
            y = y + x @ down @ up
        if self.use_bias:
            bias = self.param("bias", nn.initializers.zeros, (self.features,), jnp.float32)
            y = y + bias.astype(dtype)
        return y.reshape(*tokens, self.features)
