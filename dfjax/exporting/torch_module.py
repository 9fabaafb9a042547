"""Traced programs as modules of PyTorch: one function per primitive."""

import string
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from jax.extend import core
from torch import nn
from torch.nn import functional

from dfjax.exporting.simplify import Rule, evaluate


class Network(nn.Module):
    """A traced program, with its parameters and constants as buffers.

    Args:
        closed: Simplified program, whose arguments are the parameters followed by the inputs.
        parameters: Parameters by path; in the names of the buffers, dots are `__`.
        batch: Symbol of the number of clips in the shapes of the program.
    """

    def __init__(
        self, closed: core.ClosedJaxpr, parameters: Mapping[str, np.ndarray], batch: Any
    ) -> None:
        super().__init__()
        self.jaxpr, self.batch = closed.jaxpr, batch
        self.parameter_names = [key.replace(".", "__") for key in parameters]
        self.constants = [np.asarray(value) for value in closed.consts]
        for name, value in zip(self.parameter_names, parameters.values(), strict=True):
            self.register_buffer(name, _tensor(value))
        for number, value in enumerate(self.constants):
            if value.ndim:  # numbers stay outside of the graph, as PyTorch needs some of them
                self.register_buffer(f"constant{number}", _tensor(value))

    def forward(self, *arrays: torch.Tensor) -> torch.Tensor:
        """Returns the output for the inputs, in order."""
        parameters = [getattr(self, name) for name in self.parameter_names]
        constants = [getattr(self, f"constant{n}", x) for n, x in enumerate(self.constants)]
        program = core.ClosedJaxpr(self.jaxpr, constants)
        rules = make_rules(self.batch, arrays[0].shape[0])
        return evaluate(program, [*parameters, *arrays], rules)[0]


def make_rules(batch: Any, clips: Any) -> dict[str, Rule]:
    """Returns the functions of all primitives, with those whose parameters have shapes.

    Args:
        batch: Symbol of the number of clips.
        clips: What stands for it in PyTorch.
    """

    def sizes(shape: Sequence[Any]) -> list[Any]:
        return [size if isinstance(size, int) else int(size // batch) * clips for size in shape]

    def broadcast(x: Any, *, shape: Any, broadcast_dimensions: Any, **_: Any) -> Any:
        x, own = _tensor(x), [1] * len(shape)
        for axis, place in enumerate(broadcast_dimensions):
            own[place] = x.shape[axis]
        return x.reshape(own).expand(sizes(shape))

    def reshape(x: Any, *, new_sizes: Any, **_: Any) -> Any:
        return x.reshape(sizes(new_sizes))

    def take_slice(x: Any, *, start_indices: Any, limit_indices: Any, strides: Any) -> Any:
        for axis, (start, limit) in enumerate(zip(start_indices, limit_indices, strict=True)):
            step = strides[axis] if strides else 1
            if isinstance(limit, int) and (start, limit, step) != (0, x.shape[axis], 1):
                x = x[(slice(None),) * axis + (slice(start, limit, step),)]
        return x

    def scan(*operands: Any, **params: Any) -> Any:
        return _scan(rules, *operands, **params)

    rules: dict[str, Rule] = {**RULES, "broadcast_in_dim": broadcast, "reshape": reshape}
    rules |= {"scan": scan, "slice": take_slice}
    return rules


def _tensor(value: Any) -> torch.Tensor:
    """Returns a constant as a tensor; tensors are returned themselves."""
    if isinstance(value, torch.Tensor):
        return value
    return torch.from_numpy(np.array(value))


def _convolution(x: Any, kernel: Any, **params: Any) -> Any:
    numbers = params["dimension_numbers"]
    if set(params["lhs_dilation"]) != {1} or params["batch_group_count"] != 1:
        raise NotImplementedError("a convolution with dilated inputs")
    padding = [side for pair in reversed(params["padding"]) for side in pair]
    result = functional.conv2d(
        functional.pad(x.permute(numbers.lhs_spec), padding),
        kernel.permute(numbers.rhs_spec),
        stride=params["window_strides"],
        dilation=params["rhs_dilation"],
        groups=params["feature_group_count"],
    )
    return result.permute([int(axis) for axis in np.argsort(numbers.out_spec)])


def _dot(x: Any, y: Any, *, dimension_numbers: Any, **_: Any) -> Any:
    (summed_x, summed_y), (batch_x, batch_y) = dimension_numbers
    letters = iter(string.ascii_letters)
    names_x = [next(letters) for _ in x.shape]
    names_y = [next(letters) for _ in y.shape]
    for axis_x, axis_y in zip((*summed_x, *batch_x), (*summed_y, *batch_y), strict=True):
        names_y[axis_y] = names_x[axis_x]
    kept_x = [n for axis, n in enumerate(names_x) if axis not in (*summed_x, *batch_x)]
    kept_y = [n for axis, n in enumerate(names_y) if axis not in (*summed_y, *batch_y)]
    result = [*(names_x[axis] for axis in batch_x), *kept_x, *kept_y]
    return torch.einsum(f"{''.join(names_x)},{''.join(names_y)}->{''.join(result)}", x, y)


def _pad(x: Any, value: Any, *, padding_config: Any) -> Any:
    if any(between for *_, between in padding_config):
        raise NotImplementedError("padding between elements")
    sides = [side for low, high, _ in reversed(padding_config) for side in (low, high)]
    return functional.pad(x, sides, value=float(value))


def _reduce_window_max(x: Any, **params: Any) -> Any:
    window = params["window_dimensions"]
    if x.ndim != 4 or (window[0], window[3]) != (1, 1) or set(params["base_dilation"]) != {1}:
        raise NotImplementedError("a maximum over other windows than those of images")
    (top, bottom), (left, right) = params["padding"][1:3]
    images = functional.pad(x.permute(0, 3, 1, 2), (left, right, top, bottom), value=-torch.inf)
    pooled = functional.max_pool2d(
        images,
        window[1:3],
        stride=params["window_strides"][1:3],
        dilation=params["window_dilation"][1:3],
    )
    return pooled.permute(0, 2, 3, 1)


def _scan(rules: dict[str, Rule], *operands: Any, **params: Any) -> Any:
    """Returns the results of a scan, whose steps are written out one after the other."""
    consts, carries = params["num_consts"], params["num_carry"]
    fixed, carry = operands[:consts], list(operands[consts : consts + carries])
    xs, rows = operands[consts + carries :], []
    order = range(params["length"])
    for step in reversed(order) if params["reverse"] else order:
        results = evaluate(params["jaxpr"], [*fixed, *carry, *(x[step] for x in xs)], rules)
        carry = results[:carries]
        rows.append(results[carries:])
    if params["reverse"]:
        rows.reverse()
    return [*carry, *(torch.stack(column) for column in zip(*rows))]


def _select(which: Any, *cases: Any) -> Any:
    if len(cases) != 2 or _tensor(which).dtype != torch.bool:
        raise NotImplementedError("a choice between more than two arrays")
    return torch.where(which, _tensor(cases[1]), _tensor(cases[0]))


def _split(x: Any, *, sizes: Any, axis: int) -> Any:
    return torch.split(x, list(sizes), axis)


def _convert(x: Any, *, new_dtype: Any, **_: Any) -> Any:
    return _tensor(x).to(getattr(torch, np.dtype(new_dtype).name))


def _amax(x: Any, *, axes: Any, **_: Any) -> Any:
    return torch.amax(x, dim=tuple(axes))


def _sum(x: Any, *, axes: Any, **_: Any) -> Any:
    return torch.sum(x, dim=tuple(axes)) if axes else x


def _plain(function: Any) -> Rule:
    """Returns a rule for a function of tensors, which constants have to be made."""
    return lambda *operands, **_: function(*map(_tensor, operands))


RULES: dict[str, Rule] = {
    **{name: _plain(getattr(torch, name)) for name in ("abs", "add", "div", "exp", "log", "mul")},
    **{name: _plain(getattr(torch, name)) for name in ("erf", "erfc", "rsqrt", "sqrt", "square")},
    **{name: _plain(getattr(torch, name)) for name in ("sub", "tanh", "sign", "floor", "ge", "gt")},
    **{name: _plain(getattr(torch, name)) for name in ("le", "lt", "eq", "ne", "neg", "pow")},
    "and": _plain(torch.bitwise_and),
    "clamp": lambda low, x, high, **_: torch.minimum(torch.maximum(x, _tensor(low)), _tensor(high)),
    "concatenate": lambda *operands, dimension: torch.cat(operands, dimension),
    "conv_general_dilated": _convolution,
    "convert_element_type": _convert,
    "dot_general": _dot,
    "integer_pow": lambda x, *, y: x**y,
    "logistic": _plain(torch.sigmoid),
    "max": _plain(torch.maximum),
    "min": _plain(torch.minimum),
    "not": _plain(torch.bitwise_not),
    "or": _plain(torch.bitwise_or),
    "pad": _pad,
    "reduce_max": _amax,
    "reduce_sum": _sum,
    "reduce_window_max": _reduce_window_max,
    "rev": lambda x, *, dimensions: torch.flip(x, dimensions),
    "round": _plain(torch.round),
    "select_n": _select,
    "split": _split,
    "squeeze": lambda x, *, dimensions: x.squeeze(dimensions),
    "transpose": lambda x, *, permutation: x.permute(permutation),
}
"""The primitives that PyTorch's functions compute. Others raise a `NotImplementedError`."""
