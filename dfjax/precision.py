"""The dtype policy: parameters, statistics, losses in float32; arithmetic in what was chosen."""

import jax.numpy as jnp
from jax.typing import DTypeLike

from dfjax.errors import unknown

POLICIES: dict[str, DTypeLike] = {"float32": jnp.float32, "bfloat16": jnp.bfloat16}


def compute_dtype(policy: str) -> DTypeLike:
    """Returns the dtype of activations under `policy`; bfloat16 needs no loss scaling.

    Raises:
        UsageError: the policy is unknown.
    """
    if policy not in POLICIES:
        raise unknown("precision", policy, POLICIES)
    return POLICIES[policy]
