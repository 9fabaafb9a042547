"""What a model is made of, from shapes alone: nothing is computed or compiled."""

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import linen as nn

from dfjax.models.registry import build, input_shapes, make_module
from dfjax.ops.flops import count_flops
from dfjax.shapes import Variables


class Summary(NamedTuple):
    """Size of a model.

    Attributes:
        parameters: their number; which of them are trained is up to the optimiser.
        statistics: number of running statistics.
        input: shape of every input for one clip, `{"hq": (1, 10, 224, 224, 3), …}`.
        flops: arithmetic of one clip in evaluation, 2 per multiply-add.
        parts: parameters of every top-level part.
        shapes: output of every top-level part for that clip.
        variables: shapes of all parameters and statistics.
    """

    parameters: int
    statistics: int
    input: dict[str, tuple[int, ...]]
    flops: int
    parts: dict[str, int]
    shapes: dict[str, tuple[int, ...]]
    variables: Variables


def compute_summary(name: str, *, size: int, frames: int, options: Mapping[str, Any]) -> Summary:
    """Returns the `Summary` of the model `name` for clips of `frames` frames of `size` px.

    Raises:
        UsageError: an unknown model or option.
    """
    model = build(name, lowering="native", **options)
    module = make_module(name, lowering="native", **options)
    inputs = input_shapes(name, size, 1, frames, **options)
    rng = jax.eval_shape(lambda: jax.random.key(0))
    variables = jax.eval_shape(model.init, rng, inputs)

    seen: dict[str, Any] = {}

    def forward(variables: Mapping[str, Any], inputs: Mapping[str, Any]) -> jax.Array:
        (logits, _), kept = module.apply(
            variables,
            inputs,
            train=False,
            capture_intermediates=_is_part,
            mutable=["intermediates"],
        )
        seen.update(jax.tree.map(jnp.shape, kept["intermediates"]))
        return logits

    flops = count_flops(forward, variables, inputs)

    return Summary(
        parameters=count(variables["params"]),
        statistics=count(variables["batch_stats"]),
        input={key: tuple(value.shape) for key, value in inputs.items() if key != "mask"},
        flops=flops,
        parts={key: count(part) for key, part in variables["params"].items()},
        shapes={
            key: _last(value["__call__"][0]) for key, value in seen.items() if key != "__call__"
        },
        variables=variables,
    )


def _is_part(module: nn.Module, method: str) -> bool:
    return method == "__call__" and len(module.path) == 1


def _last(output: Any) -> tuple[int, ...]:
    """Shape of a part's output; of a backbone's endpoints the last one, of several the first."""
    if isinstance(output, dict):
        return output["top"]
    return output[0] if output and isinstance(output[0], tuple) else output


def count(tree: Any) -> int:
    """Returns the number of values in a tree of arrays or shapes."""
    return sum(math.prod(jnp.shape(leaf)) for leaf in jax.tree.leaves(tree))
