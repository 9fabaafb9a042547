"""Frozen parameters: their gradients are not computed."""

from collections.abc import Sequence
from typing import Any

import jax

from dfjax.training.optimizers import match_frozen


def stop_gradients(params: Any, patterns: Sequence[str]) -> Any:
    """Returns `params` in which those that `patterns` freeze are constants.

    Their gradient is zero, so it adds nothing to the gradient norm, and the compiler removes the
    operations that would compute it. For a frozen backbone, that is its whole backward pass.

    Args:
        params: Parameters of a model.
        patterns: Regular expressions searched in parameter paths (see `match_frozen`).

    Raises:
        UsageError: A pattern matches no parameter.
    """
    if not patterns:
        return params
    return jax.tree.map(
        lambda value, frozen: jax.lax.stop_gradient(value) if frozen else value,
        params,
        match_frozen(params, patterns),
    )
