"""Simplifies traced programs, so that converters have to know few primitives.

Calls are inlined, what depends on constants alone is computed, and what the result does not need is
left out.
"""

import contextlib
import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import numpy as np
from jax import lax
from jax.extend import core

Rule = Callable[..., Any]
"""Function `rule(*operands, **params)` that returns the result of an equation, or its results where
the primitive has several."""

CALLS = ("jit", "pjit", "closed_call", "custom_jvp_call", "custom_vjp_call", "remat2", "checkpoint")
"""Primitives that call another traced program, found among their parameters."""


def trace(function: Callable[..., Any], shapes: Sequence[Any], rules: Mapping[str, Rule]) -> Any:
    """Returns the simplified jaxpr of a function, in which rules replace primitives.

    Args:
        function: Function of arrays.
        shapes: Shapes and dtypes of its arguments, perhaps with symbols.
        rules: Replacements by the name of the primitive, besides `SIMPLER`.
    """
    closed = jax.make_jaxpr(function)(*shapes)
    return jax.make_jaxpr(lambda *args: evaluate(closed, args, _with_simpler(rules)))(*shapes)


def scan(rules: Mapping[str, Rule], *operands: Any, **params: Any) -> list[Any]:
    """Returns the results of a scan in whose step rules replace primitives, `SIMPLER` too."""
    consts, carries = params["num_consts"], params["num_carry"]
    fixed, first = operands[:consts], list(operands[consts : consts + carries])
    known = _with_simpler(rules)

    def step(carry: Any, x: Any) -> Any:
        results = evaluate(params["jaxpr"], [*fixed, *carry, *x], known)
        return results[:carries], results[carries:]

    xs, length, reverse = list(operands[consts + carries :]), params["length"], params["reverse"]
    last, ys = lax.scan(step, first, xs, length=length, reverse=reverse)
    return [*last, *ys]


def _with_simpler(rules: Mapping[str, Rule]) -> dict[str, Rule]:
    return {**SIMPLER, "scan": functools.partial(scan, rules), **rules}


def evaluate(closed: core.ClosedJaxpr, args: Sequence[Any], rules: Mapping[str, Rule]) -> Any:
    """Returns the results of a jaxpr for arguments, which need not be arrays of JAX.

    Args:
        closed: Traced program.
        args: Its arguments.
        rules: Functions that compute primitives; the others are bound.

    Returns:
        A list of results.
    """
    jaxpr = closed.jaxpr
    values = dict(zip(jaxpr.constvars, closed.consts)) | dict(zip(jaxpr.invars, args))

    def read(atom: Any) -> Any:
        return atom.val if isinstance(atom, core.Literal) else values[atom]

    for equation in _needed(jaxpr):
        operands = [read(atom) for atom in equation.invars]
        results = _compute(equation, operands, rules)
        values.update(zip(equation.outvars, results))
    return [read(atom) for atom in jaxpr.outvars]


def _needed(jaxpr: core.Jaxpr) -> list[core.JaxprEqn]:
    """Returns the equations that the results depend on, in order."""
    wanted, kept = set(_variables(jaxpr.outvars)), []
    for equation in reversed(jaxpr.eqns):
        if wanted.intersection(equation.outvars):
            kept.append(equation)
            wanted.update(_variables(equation.invars))
    return kept[::-1]


def _variables(atoms: Sequence[Any]) -> list[core.Var]:
    return [atom for atom in atoms if not isinstance(atom, core.Literal)]


def _compute(
    equation: core.JaxprEqn, operands: Sequence[Any], rules: Mapping[str, Rule]
) -> Sequence[Any]:
    primitive, params = equation.primitive, equation.params
    called = [value for value in params.values() if hasattr(value, "eqns")]
    called += [value for value in params.values() if hasattr(value, "jaxpr")]
    if primitive.name in CALLS and called:
        inner = called[0] if hasattr(called[0], "consts") else core.ClosedJaxpr(called[0], ())
        return evaluate(inner, operands, rules)
    with _now(equation, operands):
        if primitive.name in rules:
            result = rules[primitive.name](*operands, **params)
        else:
            result = primitive.bind(*operands, **params)
    return result if primitive.multiple_results else [result]


def _now(equation: core.JaxprEqn, operands: Sequence[Any]) -> Any:
    """Returns a context in which an equation of constants is computed instead of traced."""
    fixed = all(isinstance(x, np.ndarray | np.generic | int | float | jax.Array) for x in operands)
    traced = any(isinstance(x, jax.core.Tracer) for x in operands)
    avals: list[Any] = [var.aval for var in equation.outvars]
    sizes = [size for aval in avals for size in aval.shape]
    if (
        equation.primitive.name != "dim_as_value"
        and fixed
        and not traced
        and all(isinstance(size, int) for size in sizes)
    ):
        return jax.ensure_compile_time_eval()
    return contextlib.nullcontext()


def _concatenate(*operands: Any, dimension: int) -> Any:
    kept = [
        x for x in operands if not (isinstance(x.shape[dimension], int) and not x.shape[dimension])
    ]
    return kept[0] if len(kept) == 1 else lax.concatenate(kept or operands[:1], dimension)


def _stack(*operands: Any, axis: int) -> Any:
    return lax.concatenate([lax.expand_dims(x, (axis,)) for x in operands], axis)


def _gather(operand: Any, indices: Any, **params: Any) -> Any:
    """Returns a slice where the start of it is constant, as in `x[:, -1]` and `x[:, 1:]`."""
    numbers, sizes = params["dimension_numbers"], params["slice_sizes"]
    axes = numbers.start_index_map
    constant = not isinstance(indices, jax.core.Tracer) and np.shape(indices) == (len(axes),)
    if not constant or not set(numbers.collapsed_slice_dims) <= set(axes):
        return lax.gather_p.bind(operand, indices, **params)
    for axis, index in zip(axes, np.asarray(indices), strict=True):
        start = int(np.clip(index, 0, operand.shape[axis] - sizes[axis]))
        operand = lax.slice_in_dim(operand, start, start + sizes[axis], axis=axis)
    return lax.squeeze(operand, numbers.collapsed_slice_dims)


SIMPLER: dict[str, Rule] = {
    "concatenate": _concatenate,
    "copy": lambda x: x,
    "gather": _gather,
    "stack": _stack,
    "stop_gradient": lambda x, **_: x,
}
"""Replacements that every converter needs."""
