"""Counts the operations and bytes of a function from its trace, without compiling it."""

import math
from collections.abc import Callable
from typing import Any

import jax
from jax.extend import core


def count_flops(function: Callable[..., Any], *shapes: object) -> int:
    """Returns the number of floating-point operations of one call, 2 per multiply-add.

    As in published figures, only convolutions and matrix products are counted, and not element-wise
    operations. Operations on which no output depends are left out. The body of a scan is counted
    once per iteration, whereas XLA's cost analysis counts it once.

    Args:
        function: Traceable function. Build models with the native lowering, because the additional
            operations of other lowerings would be counted too.
        shapes: Arguments of the function, as arrays or `jax.ShapeDtypeStruct`.
    """
    return count_operations(jax.make_jaxpr(function)(*shapes).jaxpr)


def count_operations(jaxpr: core.Jaxpr, *, loops: bool = True) -> int:
    """Returns the number of floating-point operations of a program, as `count_flops`.

    Args:
        jaxpr: Traced program.
        loops: Whether the body of a scan counts once per iteration; otherwise it counts once, as in
            XLA's cost analysis.
    """
    return _count(jaxpr, _count_operations, loops=loops)


def count_unfused_bytes(jaxpr: core.Jaxpr) -> int:
    """Returns the bytes of the operands and results of all operations of a program.

    Args:
        jaxpr: Traced program.
    """
    return _count(jaxpr, _count_all_bytes)


def count_moved_bytes(jaxpr: core.Jaxpr) -> int:
    """Returns the bytes that a program moves if every element-wise operation is fused.

    These are the operands and results of convolutions and matrix products, and the operands of
    reductions. A compiler moves more.

    Args:
        jaxpr: Traced program.
    """
    return _count(jaxpr, _count_bytes)


def _count(jaxpr: core.Jaxpr, cost: Callable[[core.JaxprEqn], int], *, loops: bool = True) -> int:
    total = 0
    for equation in _needed(jaxpr):
        total += cost(equation)
        inside = sum(_count(inner, cost, loops=loops) for inner in _inner(equation))
        total += _repeats(equation, loops=loops) * inside
    return total


def _repeats(equation: core.JaxprEqn, *, loops: bool) -> int:
    """Returns how often a program runs the functions that an operation calls, on all devices."""
    if equation.primitive.name == "shard_map":  # the shapes inside are those of one device
        devices: int = equation.params["mesh"].size
        return devices
    length: int = equation.params["length"] if equation.primitive.name == "scan" and loops else 1
    return length


def _count_operations(equation: core.JaxprEqn) -> int:
    if equation.primitive.name == "dot_general":
        return 2 * _size(equation) * _contracted(equation)
    if equation.primitive.name == "conv_general_dilated":
        return 2 * _size(equation) * _receptive_field(equation)
    return 0


def _count_bytes(equation: core.JaxprEqn) -> int:
    name = equation.primitive.name
    if name in ("dot_general", "conv_general_dilated"):
        return sum(_bytes(value) for value in (*equation.invars, *equation.outvars))
    return sum(map(_bytes, equation.invars)) if name.startswith("reduce_") else 0


def _count_all_bytes(equation: core.JaxprEqn) -> int:
    if _inner(equation):
        return 0  # the operations of these functions count
    return sum(map(_bytes, (*equation.invars, *equation.outvars)))


def _bytes(value: Any) -> int:
    aval = value.aval
    return aval.size * aval.dtype.itemsize if hasattr(aval, "size") else 0


def _needed(jaxpr: core.Jaxpr) -> list[core.JaxprEqn]:
    """Returns the equations on which the outputs depend, the last one first."""
    needed = {value for value in jaxpr.outvars if isinstance(value, core.Var)}
    found = []
    for equation in reversed(jaxpr.eqns):
        if needed.intersection(equation.outvars):
            found.append(equation)
            needed.update(value for value in equation.invars if isinstance(value, core.Var))
    return found


def _size(equation: core.JaxprEqn) -> int:
    return math.prod(getattr(equation.outvars[0].aval, "shape", ()))


def _shape(equation: core.JaxprEqn, operand: int) -> tuple[int, ...]:
    return getattr(equation.invars[operand].aval, "shape", ())


def _contracted(equation: core.JaxprEqn) -> int:
    (axes, _), _ = equation.params["dimension_numbers"]
    return math.prod(_shape(equation, 0)[axis] for axis in axes)


def _receptive_field(equation: core.JaxprEqn) -> int:
    """Returns the multiply-adds per output value: kernel cells times input channels of a group."""
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
