"""A model as two pure functions, the interface that the rest of the package uses."""

import functools
from collections.abc import Mapping
from typing import Any, NamedTuple

import jax.numpy as jnp
from flax import linen as nn
from jax.typing import DTypeLike
from jaxtyping import Array, Key

from dfjax.errors import UsageError
from dfjax.models.initializers import one_draw
from dfjax.models.layers import Compute
from dfjax.models.options import instantiate
from dfjax.models.registry import find_entry, full_options
from dfjax.ops.lowering import Lowering, resolve
from dfjax.shapes import Apply, ClipF32, Init, Inputs, Logits, Variables

COLLECTIONS = ("params", "batch_stats")
_KEPT = "only params and batch_stats are supported"


class ModelFns(NamedTuple):
    """A model: pure functions over plain nested dicts with string keys.

    Attributes:
        init: See `Init`.
        apply: See `Apply`.
    """

    init: Init
    apply: Apply


def build(
    name: str,
    *,
    lowering: str | Lowering = "auto",
    dtype: DTypeLike = jnp.float32,
    **options: object,
) -> ModelFns:
    """Returns the model `name` as pure functions.

    Args:
        name: Key of `MODELS`, or the import path of a Linen class (see `custom`).
        lowering: `auto`, `native` or `matmul`, resolved by this call, or a resolved lowering.
        dtype: Dtype of the activations. Parameters, statistics and logits are float32.
        options: Options of the model; missing ones have their defaults.

    Raises:
        UsageError: The name, an option or the lowering is unknown, options contradict each other,
            or a class of your own returns something else than `custom` describes (raised when a
            function is called).
    """
    module = make_module(name, lowering=lowering, dtype=dtype, **options)
    read = _read_clip if find_entry(name).generates else _read

    def init(rng: Key[Array, ""], inputs: Inputs) -> Variables:
        variables = one_draw(functools.partial(module.init, train=False), rng, inputs)
        others = variables.keys() - COLLECTIONS
        if others:
            raise UsageError(f"{name} has the collections {sorted(others)}; {_KEPT}")
        return {key: variables.get(key, {}) for key in COLLECTIONS}

    def apply(
        variables: Variables, inputs: Inputs, *, train: bool, rngs: Mapping[str, Array] | None
    ) -> tuple[Logits | ClipF32, dict[str, Array], Mapping[str, Any]]:
        if not train:
            result: Any = module.apply(variables, inputs, train=False, rngs=dict(rngs or {}))
            return *read(name, result), variables["batch_stats"]
        result, new = module.apply(
            variables, inputs, train=True, rngs=dict(rngs or {}), mutable=["batch_stats"]
        )
        return *read(name, result), new.get("batch_stats", {})

    return ModelFns(init, apply)


def make_module(
    name: str,
    *,
    lowering: str | Lowering = "auto",
    dtype: DTypeLike = jnp.float32,
    **options: object,
) -> nn.Module:
    """Returns the Linen module of a model; the arguments are those of `build`.

    Raises:
        UsageError: The name, an option or the lowering is unknown, or options contradict each
            other.
    """
    merged = full_options(name, options)
    return instantiate(find_entry(name).module, merged, Compute(dtype, resolve(lowering)))


def _read_clip(name: str, result: Any) -> tuple[ClipF32, dict[str, Array]]:
    """Returns the restored clips and outputs of the module of a generator."""
    del name
    restored, outputs = result
    return restored, outputs


def _read(name: str, result: Any) -> tuple[Logits, dict[str, Array]]:
    """Returns the logits and outputs of a module, which may return the logits alone."""
    logits, outputs = result if isinstance(result, tuple) else (result, {})
    if logits.ndim != 1:
        raise UsageError(
            f"{name} must return one logit per clip, f32[B], not an array {logits.shape}: return "
            "[:, 0] of [B, 1], or [:, 1] - [:, 0] of two classes (real, fake)"
        )
    return logits.astype(jnp.promote_types(logits.dtype, jnp.float32)), outputs
