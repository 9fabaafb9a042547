"""Frozen parameters: no gradient flows through them, so that none is computed for them."""

from collections.abc import Mapping, Sequence
from typing import Any

import jax
from jaxtyping import Array

from dfjax.shapes import Inputs, Logits, Variables
from dfjax.training.optimizers import match_paths


def freeze_apply(apply: Any, patterns: Sequence[str]) -> Any:
    """Returns a model's `apply` as a function of its trained parameters alone.

    Those whose path matches one of `patterns` are constants: their gradient is zero, so it does not
    count in any norm, and the compiler leaves out what only led to it. Behind a frozen backbone
    that is the whole backward pass of the backbone.

    Args:
        apply: see `dfjax.models.registry.Apply`.
        patterns: regular expressions searched in parameter paths, `optimizer.freeze`.

    Raises:
        UsageError: when it is called, a pattern matches no parameter.
    """
    if not patterns:
        return apply

    def frozen(
        variables: Variables, inputs: Inputs, *, train: bool, rngs: Mapping[str, Array] | None
    ) -> tuple[Logits, dict[str, Array], Mapping[str, Any]]:
        params = jax.tree.map(
            lambda value, constant: jax.lax.stop_gradient(value) if constant else value,
            variables["params"],
            match_paths(variables["params"], patterns),
        )
        both = {**variables, "params": params}
        result: tuple[Logits, dict[str, Array], Mapping[str, Any]]
        result = apply(both, inputs, train=train, rngs=rngs)
        return result

    return frozen
