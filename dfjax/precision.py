"""Defines the dtype policies: the dtype of activations. Parameters and losses are float32."""

import jax.numpy as jnp
from jax.typing import DTypeLike

from dfjax.errors import unknown

POLICIES: dict[str, DTypeLike] = {"float32": jnp.float32, "bfloat16": jnp.bfloat16}


def compute_dtype(policy: str) -> DTypeLike:
    """Returns the dtype of activations under `policy`.

    Parameters, batch statistics and losses are float32 under every policy. There is no loss
    scaling, because bfloat16 has the exponent range of float32.

    Args:
        policy: `float32` or `bfloat16`.

    Raises:
        UsageError: The policy is unknown.
    """
    if policy not in POLICIES:
        raise unknown("precision", policy, POLICIES)
    return POLICIES[policy]
