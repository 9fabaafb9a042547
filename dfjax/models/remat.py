"""What the backward pass recomputes instead of keeping it in memory (rematerialisation)."""

from collections.abc import Callable
from typing import Any

import jax
from flax import linen as nn
from jax.ad_checkpoint import checkpoint_name
from jaxtyping import Array, Float

from dfjax.errors import unknown
from dfjax.schema import REMAT

_BLOCK = "block_output"


def mark_block(x: Float[Array, "n *map c"], *, train: bool) -> Float[Array, "n *map c"]:
    """Returns the output of a block, which the policy `block` then keeps.

    Args:
        x: Maps, or tokens.
        train: Whether the backbone is in training mode; otherwise `x` is not marked, for exports,
            and the policy `block` keeps as little as `all`.
    """
    return checkpoint_name(x, _BLOCK) if train else x


def recompute(run: Callable[..., Any], policy: str) -> Callable[..., Any]:
    """Returns `run(module, *arrays)` with a backward pass that follows a policy.

    Args:
        run: Function of a module and arrays.
        policy: Name in `schema.REMAT`.

    Raises:
        UsageError: The policy is unknown.
    """
    if policy not in REMAT:
        raise unknown("remat", policy, REMAT)
    if policy == "none":
        return run
    kept = jax.checkpoint_policies.save_only_these_names(_BLOCK) if policy == "block" else None
    return nn.remat(run, policy=kept)
