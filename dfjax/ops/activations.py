"""Activation functions in the form that suits a lowering."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from dfjax.ops.lowering import Lowering

Activation = Callable[[Array], Array]
"""Function that is applied to every value on its own."""


def lower_activation(activation: Activation, lowering: Lowering) -> Activation:
    """Returns `activation`, or the same function in the form that is faster under `lowering`.

    Args:
        activation: Activation function.
        lowering: Resolved lowering.
    """
    return silu_by_tanh if activation is jax.nn.silu and lowering.tanh_silu else activation


def silu_by_tanh(x: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """Returns x · sigmoid(x), with the sigmoid computed as (1 + tanh(x / 2)) / 2.

    The error of the sigmoid is up to 2⁻²⁵, absolute and not relative, so values below -18 give 0.
    """
    return x * (0.5 + 0.5 * jnp.tanh(0.5 * x))
