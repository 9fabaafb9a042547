"""Adapters: a few trained parameters that change kernels of a model.

An adapter of a kernel W gives the model W + D, where D has a low rank. The parameters of D are in
the part `adapters` of `params`, under the path of the kernel; all other paths are those of the
model without adapters. At first D changes nothing. `merge_adapters` returns plain kernels.

The blocks of vision transformers add x D to outputs by its two factors, so that the backward pass
has only gradients of the size of the factors. Kernels of other layers are W + D before the model is
applied: that costs the gradient of a whole kernel, which is summed over all devices.

- `lora` (Hu et al., 2022): D = (alpha / rank) down · up, where `up` is 0 at first.
- `svd` (Yan et al., 2025, Effort): W = U S V' is split into its largest singular values, which
  stay, and the `rank` smallest, which are trained as `left`, `values` and `right`. D0 is the
  product of their first values, fixed parameters (`FIXED`), and D = left · values · right - D0.
"""

import functools
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax.traverse_util import flatten_dict, unflatten_dict
from jaxtyping import Array, Float, Key

from dfjax.errors import UsageError, unknown
from dfjax.models.entry import ADAPTERS, LOW_RANK
from dfjax.models.model_fns import ModelFns
from dfjax.shapes import Inputs, Variables

KINDS = ("none", "lora", "svd")
FIXED = "^adapters/.*/first_"
"""Pattern of the parameters of adapters that are never trained."""

IN_BLOCK = re.compile(r"/stage1_block\d+/(attention|mlp)/\w+/kernel$")
EXACT = jax.lax.Precision.HIGHEST


class Adapter(NamedTuple):
    """Settings of the adapters of a model, the section `adapter` of a config.

    Attributes:
        name: Kind of adapter, one of `KINDS`.
        kernels: Patterns that are searched in the paths of parameters; matching kernels are
            adapted.
        rank: Rank of the trained part of each kernel.
        alpha: Scale of LoRA: its product is multiplied by `alpha / rank`.
    """

    name: str = "none"
    kernels: Sequence[str] = ()
    rank: int = 1
    alpha: float = 1.0

    @property
    def fixed(self) -> tuple[str, ...]:
        """Patterns of the parameters that an optimiser must not change."""
        return (FIXED,) if self.name == "svd" else ()


def adapt(model: ModelFns, adapter: Adapter, transformers: Sequence[str] = ()) -> ModelFns:
    """Returns a model whose kernels are adapted; without adapters, the model itself.

    Args:
        model: Model to adapt.
        adapter: Settings of the adapters.
        transformers: First parts of the paths of backbones that are a `VisionTransformer`.

    With `svd`, the outputs include `orthogonality` and `singular_values` f32[B], the penalties of
    the paper, the same for every clip.

    Raises:
        UsageError: The kind is unknown.
    """
    if adapter.name not in KINDS:
        raise unknown("adapter.name", adapter.name, KINDS)
    if adapter.name == "none":
        return model

    def init(rng: Key[Array, ""], inputs: Inputs) -> Variables:
        variables = model.init(rng, inputs)
        params = variables["params"]
        added = init_adapters(jax.random.fold_in(rng, 1), params, adapter)
        return {**variables, "params": {**params, ADAPTERS: added}}

    def apply(
        variables: Variables, inputs: Inputs, *, train: bool, rngs: Mapping[str, Array] | None
    ) -> tuple[Array, dict[str, Array], Mapping[str, Any]]:
        params = variables["params"]
        given = {**variables, **split_adapters(params, adapter, transformers)}
        logits, outputs, stats = model.apply(given, inputs, train=train, rngs=rngs)
        if adapter.name == "svd":
            penalties = compute_penalties(params)
            outputs = outputs | {k: jnp.broadcast_to(v, logits.shape) for k, v in penalties.items()}
        return logits, outputs, stats

    return ModelFns(init, apply)


def init_adapters(rng: Key[Array, ""], params: Mapping[str, Any], adapter: Adapter) -> Any:
    """Returns the first parameters of the adapters of a model; they change nothing.

    Args:
        rng: Random key, which LoRA uses.
        params: Parameters of the model, for example loaded ones. With `svd` they are decomposed.
        adapter: Settings of the adapters.

    Raises:
        UsageError: A pattern matches no kernel, a match is no kernel, the rank is not smaller than
            a kernel, or a kernel is not square, which `svd` needs.
    """
    kernels = find_kernels(params, adapter)
    make = _init_lora if adapter.name == "lora" else _init_svd
    return unflatten_dict(make(rng, kernels, adapter.rank), sep="/")


def split_adapters(
    params: Mapping[str, Any], adapter: Adapter, transformers: Sequence[str]
) -> dict[str, Any]:
    """Returns `params` without adapters, and `low_rank`, the factors that `TokenDense` reads.

    Args:
        params: Parameters with the part `adapters`.
        adapter: Settings of the adapters.
        transformers: As in `adapt`; the kernels of other layers are merged.
    """
    factors, others = {}, {}
    for path, parts in _split(params).items():
        if path.split("/")[0] in transformers and IN_BLOCK.search(path):
            layer = path.removesuffix("/kernel")
            factors[f"{layer}/down"], factors[f"{layer}/up"] = _factor(parts, adapter)
        else:
            others[path] = parts
    low_rank = unflatten_dict(factors, sep="/")
    return {"params": _merge(params, others, adapter), LOW_RANK: low_rank}


def merge_adapters(params: Mapping[str, Any], adapter: Adapter) -> dict[str, Any]:
    """Returns the parameters of the model alone, with the kernels that the adapters give it.

    Args:
        params: Parameters with the part `adapters`.
        adapter: Settings of the adapters.
    """
    return _merge(params, _split(params), adapter)


def _merge(
    params: Mapping[str, Any], adapters: Mapping[str, Mapping[str, Any]], adapter: Adapter
) -> dict[str, Any]:
    base = flatten_dict({k: v for k, v in params.items() if k != ADAPTERS}, sep="/")
    for path, parts in adapters.items():
        if adapter.name == "lora":
            change = jnp.matmul(*_factor(parts, adapter), precision=EXACT)
        else:
            now, first = _products(parts)
            change = now - first  # exactly 0 at first
        base[path] = base[path] + change.reshape(base[path].shape).astype(base[path].dtype)
    return unflatten_dict(base, sep="/")


def _factor(parts: Mapping[str, Any], adapter: Adapter) -> tuple[Any, Any]:
    """Returns matrices [D, r] and [r, K] whose product is the change of a kernel."""
    if adapter.name == "lora":
        return adapter.alpha / adapter.rank * parts["down"], parts["up"]
    now, first = (parts[f"{when}left"] * parts[f"{when}values"] for when in ("", "first_"))
    down = jnp.concatenate([now, -first], axis=1)
    return down, jnp.concatenate([parts["right"], parts["first_right"]])


def merge_variables(variables: Variables, adapter: Adapter) -> Variables:
    """Returns the variables of the model without adapters; those without any are returned as is."""
    params = variables["params"]
    if ADAPTERS not in params:
        return variables
    return {**variables, "params": merge_adapters(params, adapter)}


def compute_penalties(params: Mapping[str, Any]) -> dict[str, Float[Array, ""]]:
    """Returns the means over kernels of the two penalties of Yan et al. (2025), 0 at first.

    `orthogonality` is |U'U - I|^2 + |V'V - I|^2 of all singular vectors, of which only the trained
    ones change. A fixed vector is orthogonal to the first values of the trained ones, and these
    span what the fixed ones lack, since the kernel is square. So the products of fixed and trained
    vectors are what the trained ones have outside of their first span. `singular_values` is the
    absolute difference of the squared Frobenius norms of the kernel now and at first, the sums of
    squared singular values. Both hold for kernels of which only the adapter is trained.

    Args:
        params: Parameters with `svd` adapters.
    """
    base = flatten_dict({k: v for k, v in params.items() if k != ADAPTERS}, sep="/")
    angles, norms = [], []
    for path, parts in _split(params).items():
        left = _leaves_span(parts["left"], parts["first_left"])
        angles.append(left + _leaves_span(parts["right"].T, parts["first_right"].T))
        now, first = _products(parts)
        kept = base[path].reshape(now.shape) - first
        growth = 2 * jnp.vdot(kept, now, precision=EXACT) + jnp.vdot(now, now, precision=EXACT)
        norms.append(jnp.abs(growth - jnp.sum(jnp.square(parts["first_values"]))))
    return {
        "orthogonality": jnp.mean(jnp.stack(angles)),
        "singular_values": jnp.mean(jnp.stack(norms)),
    }


def find_kernels(params: Mapping[str, Any], adapter: Adapter) -> dict[str, Array]:
    """Returns the kernels that are adapted, by path, as matrices of inputs and outputs.

    Raises:
        UsageError: As `init_adapters`.
    """
    leaves = flatten_dict(dict(params), sep="/")
    found: dict[str, Array] = {}
    for pattern in adapter.kernels:
        matches = [path for path in leaves if re.search(pattern, path)]
        if not matches:
            raise UsageError(f"adapter.kernels: the pattern {pattern!r} matches no parameter")
        found |= {path: leaves[path] for path in matches}
    if not found:
        raise UsageError(f"adapter.name={adapter.name} needs adapter.kernels, patterns of kernels")
    for path, leaf in found.items():
        if leaf.ndim < 2:
            raise UsageError(f"adapter.kernels: {path} {leaf.shape} is no kernel")
        found[path] = leaf.reshape(-1, leaf.shape[-1])
        _check_shape(path, found[path].shape, adapter)
    return found


def _check_shape(path: str, shape: tuple[int, ...], adapter: Adapter) -> None:
    if not 0 < adapter.rank < min(shape):
        raise UsageError(
            f"adapter.rank={adapter.rank} is not below the rank of {path}, {min(shape)}"
        )
    if adapter.name == "svd" and shape[0] != shape[1]:
        raise UsageError(
            f"adapter.name=svd splits square kernels, and {path} has {shape[0]} inputs and "
            f"{shape[1]} outputs"
        )


def _init_lora(rng: Any, kernels: Mapping[str, Array], rank: int) -> dict[str, Array]:
    """Returns `down`, uniform as in the authors' code, and `up`, which is 0."""
    flat = {}
    for number, (path, kernel) in enumerate(kernels.items()):
        inputs, outputs = kernel.shape
        key = jax.random.fold_in(rng, number)
        uniform = jax.random.uniform(key, (inputs, rank), kernel.dtype, minval=-1.0)
        flat[f"{path}/down"] = uniform / math.sqrt(inputs)
        flat[f"{path}/up"] = jnp.zeros((rank, outputs), kernel.dtype)
    return flat


def _init_svd(_: Any, kernels: Mapping[str, Array], rank: int) -> dict[str, Array]:
    """Returns the smallest singular values and their vectors, twice."""
    flat = {}
    for shape in sorted({kernel.shape for kernel in kernels.values()}):
        paths = [path for path, kernel in kernels.items() if kernel.shape == shape]
        # One program for all kernels of a shape: a decomposition takes long to compile.
        split = functools.partial(_smallest, rank=rank)
        parts = jax.lax.map(split, jnp.stack([kernels[path] for path in paths]))
        for number, path in enumerate(paths):
            for name, values in zip(("left", "values", "right"), parts):
                flat[f"{path}/{name}"] = values[number]
                flat[f"{path}/first_{name}"] = values[number]
    return flat


def _smallest(kernel: Float[Array, "n n"], rank: int) -> tuple[Array, Array, Array]:
    left, values, right = jnp.linalg.svd(kernel, full_matrices=False)
    return left[:, -rank:], values[-rank:], right[-rank:]


def _products(parts: Mapping[str, Any]) -> tuple[Float[Array, "n m"], Float[Array, "n m"]]:
    """Returns the trained part of a kernel now and at first."""

    def multiply(when: str) -> Array:
        left = parts[f"{when}left"] * parts[f"{when}values"]
        return jnp.matmul(left, parts[f"{when}right"], precision=EXACT)

    return multiply(""), multiply("first_")


def _leaves_span(now: Float[Array, "n k"], first: Float[Array, "n k"]) -> Float[Array, ""]:
    """Returns the part of |U'U - I|^2 that depends on the trained vectors."""
    outside = now - jnp.matmul(first, jnp.matmul(first.T, now, precision=EXACT), precision=EXACT)
    among = jnp.matmul(now.T, now, precision=EXACT) - jnp.eye(now.shape[1])
    return 2 * jnp.sum(jnp.square(outside)) + jnp.sum(jnp.square(among))


def _split(params: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Returns the parameters of the adapter of every kernel by the path of the kernel."""
    parts: dict[str, dict[str, Any]] = {}
    for path, leaf in flatten_dict(params[ADAPTERS], sep="/").items():
        kernel, name = path.rsplit("/", 1)
        parts.setdefault(kernel, {})[name] = leaf
    return parts
