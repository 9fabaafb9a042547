"""Counting the arithmetic of a function from its trace: exact, and nothing is compiled."""

import math
from collections.abc import Callable
from typing import Any

import jax
from jax.extend import core


def count_flops(function: Callable[..., Any], *shapes: object) -> int:
    """Returns the floating-point operations of one call: 2 per multiply-add.

    Counts convolutions and matrix products, loops as often as they run (XLA's own cost analysis
    counts the body of a loop once); everything element-wise is left out, as in published figures.

    Args:
        function: any traceable function; give it the native lowering, whose convolutions count as
            what they are.
        shapes: its arguments as arrays or `jax.ShapeDtypeStruct`.
    """
    return _count(jax.make_jaxpr(function)(*shapes).jaxpr)


def _count(jaxpr: core.Jaxpr) -> int:
    total = 0
    for equation in jaxpr.eqns:
        name = equation.primitive.name
        if name == "dot_general":
            total += 2 * _size(equation) * _contracted(equation)
        elif name == "conv_general_dilated":
            total += 2 * _size(equation) * _receptive_field(equation)
        else:
            repeats = equation.params["length"] if name == "scan" else 1
            total += repeats * sum(_count(inner) for inner in _inner(equation))
    return total


def _size(equation: core.JaxprEqn) -> int:
    return math.prod(getattr(equation.outvars[0].aval, "shape", ()))


def _shape(equation: core.JaxprEqn, operand: int) -> tuple[int, ...]:
    return getattr(equation.invars[operand].aval, "shape", ())


def _contracted(equation: core.JaxprEqn) -> int:
    (axes, _), _ = equation.params["dimension_numbers"]
    return math.prod(_shape(equation, 0)[axis] for axis in axes)


def _receptive_field(equation: core.JaxprEqn) -> int:
    """Multiply-adds per output value: kernel cells times input channels of one group."""
    kernel = _shape(equation, 1)
    output_axis = equation.params["dimension_numbers"].rhs_spec[0]
    return math.prod(kernel) // kernel[output_axis]


def _inner(equation: core.JaxprEqn) -> list[core.Jaxpr]:
    found = []
    for value in equation.params.values():
        for item in value if isinstance(value, tuple | list) else (value,):
            if isinstance(item, core.ClosedJaxpr):
                found.append(item.jaxpr)
            elif isinstance(item, core.Jaxpr):
                found.append(item)
    return found
