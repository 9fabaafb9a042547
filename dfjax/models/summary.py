"""Computes the size of a model from shapes alone, without compiling or running it."""

import math
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn

from dfjax.models.entry import Summary
from dfjax.models.model_fns import build, make_module
from dfjax.models.registry import input_shapes
from dfjax.ops.flops import count_flops


def compute_summary(name: str, *, size: int, frames: int, options: Mapping[str, Any]) -> Summary:
    """Returns the `Summary` of a model.

    Args:
        name: Key of `MODELS`, or an import path.
        size: Side of a frame in pixels.
        frames: Number of frames per clip.
        options: Options of the model.

    Raises:
        UsageError: The model or an option is unknown.
    """
    model = build(name, lowering="native", **options)
    module = make_module(name, lowering="native", **options)
    inputs = input_shapes(name, size, 1, frames, **options)
    rng = jax.eval_shape(lambda: jax.random.key(0))
    variables = jax.eval_shape(model.init, rng, inputs)

    shapes: dict[str, tuple[int, ...]] = {}

    def forward(variables: Mapping[str, Any], inputs: Mapping[str, Any]) -> jax.Array:
        result, kept = module.apply(
            variables,
            inputs,
            train=False,
            capture_intermediates=_is_part,
            mutable=["intermediates"],
        )
        parts = kept["intermediates"].items()
        shapes.update(
            {key: _shape(part["__call__"][0]) for key, part in parts if key != "__call__"}
        )
        return jax.tree.leaves(result)[0]  # the logits

    flops = count_flops(forward, variables, inputs)

    return Summary(
        parameters=count(variables["params"]),
        statistics=count(variables["batch_stats"]),
        input={key: tuple(value.shape) for key, value in inputs.items() if key != "mask"},
        flops=flops,
        parts={key: count(part) for key, part in variables["params"].items()},
        shapes=shapes,
        variables=variables,
    )


def _is_part(module: nn.Module, method: str) -> bool:
    return method == "__call__" and len(module.path) == 1


def _shape(output: Any) -> tuple[int, ...]:
    """Returns the shape of a part's output: a backbone's last endpoint, or the first array."""
    if isinstance(output, Mapping) and "top" in output:
        output = output["top"]
    leaves = jax.tree.leaves(output)
    return jnp.shape(leaves[0]) if leaves else ()


def count(tree: Any) -> int:
    """Returns the number of values in a tree of arrays or shapes."""
    return sum(math.prod(jnp.shape(leaf)) for leaf in jax.tree.leaves(tree))
