"""ONNX: a file that onnxruntime runs, converted by jax2onnx.

Primitives that jax2onnx does not convert are replaced by equal ones first (`RULES`).
"""

import contextlib
import io
import json
import logging
import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jax import lax

from dfjax.errors import UsageError
from dfjax.exporting.onnx_kernels import store_kernels
from dfjax.exporting.program import Program, symbolic_batch
from dfjax.exporting.simplify import Rule, evaluate, scan, trace
from dfjax.weights.rounding import FLOAT32

OPSET = 21
MISSING = "ONNX needs the extra `export`: pip install 'dfjax[export]'"


def save_onnx(path: Path, program: Program) -> None:
    """Writes a program with its parameters; the number of clips is the symbol `B`.

    Raises:
        UsageError: The extra is not installed.
    """
    path.write_bytes(write_onnx(program))


def write_onnx(program: Program) -> bytes:
    """Returns the content of the file of a program; see `save_onnx`."""
    model = convert(program)
    if program.kernels != FLOAT32:  # not before: the converter computes with constants
        store_kernels(model, program.kernels)
    for key, value in program.metadata.items():
        entry = model.metadata_props.add()
        entry.key, entry.value = key, json.dumps(value)
    return model.SerializeToString()


def convert(program: Program) -> Any:
    """Returns the `onnx.ModelProto` of a program.

    Raises:
        UsageError: The extra is not installed.
    """
    shapes = program.shapes(symbolic_batch())
    closed = trace(lambda *x: program.call(program.variables, *x), shapes, RULES)
    with _quiet():
        try:
            import jax2onnx
        except ImportError as error:
            raise UsageError(MISSING) from error
        model = jax2onnx.to_onnx(
            lambda *arrays: evaluate(closed, arrays, {})[0],
            shapes,
            input_names=list(program.inputs),
            output_names=[program.output],
            model_name="dfjax",
            opset=OPSET,
        )
    model.producer_name = "dfjax"
    return model


def open_onnx(path: Path) -> Callable[..., np.ndarray]:
    """Returns the program in a file as a function of its inputs, in order, run by onnxruntime.

    Raises:
        UsageError: The extra is not installed.
    """
    return open_onnx_bytes(path.read_bytes())


def open_onnx_bytes(data: bytes) -> Callable[..., np.ndarray]:
    """Returns the program in the content of a file; see `open_onnx`."""
    try:
        import onnxruntime
    except ImportError as error:
        raise UsageError(MISSING) from error
    session = onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"])
    names = [entry.name for entry in session.get_inputs()]

    def call(*arrays: np.ndarray) -> np.ndarray:
        return np.asarray(session.run(None, dict(zip(names, arrays, strict=True)))[0])

    return call


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Hides what jax2onnx prints and warns while it converts."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)


def _pad(operand: Any, value: Any, *, padding_config: Any) -> Any:
    """Returns the operand padded by concatenation; jax2onnx cannot pad a symbolic shape."""
    for axis, (low, high, between) in enumerate(padding_config):
        if between:
            raise NotImplementedError("padding between elements")
        size = operand.shape[axis]
        if min(low, high) < 0:
            operand = lax.slice_in_dim(operand, max(-low, 0), size - max(-high, 0), axis=axis)
        parts = [operand]
        for place, count in ((0, low), (len(parts) + 1, high)):
            if count > 0:
                shape = (*operand.shape[:axis], count, *operand.shape[axis + 1 :])
                parts.insert(place, lax.broadcast_in_dim(value, shape, ()))
        operand = parts[0] if len(parts) == 1 else lax.concatenate(parts, axis)
    return operand


def _reduce_window_max(operand: Any, **params: Any) -> Any:
    """Returns the maxima of windows with the axes that are not pooled moved to the front as one.

    onnxruntime pools at most three axes, and jax2onnx pools every axis.
    """
    whole = zip(
        params["window_dimensions"], params["window_strides"], params["padding"], strict=True
    )
    others = [axis for axis, sizes in enumerate(whole) if sizes == (1, 1, (0, 0))]
    pooled = [axis for axis in range(operand.ndim) if axis not in others]
    order = others + pooled
    moved = lax.transpose(operand, order)
    front = moved.shape[: len(others)]
    flat = lax.reshape(moved, (np.prod(front), *moved.shape[len(others) :]))
    chosen = {key: tuple(values[axis] for axis in pooled) for key, values in params.items()}
    one = {"padding": (0, 0)}
    params = {key: (one.get(key, 1), *values) for key, values in chosen.items()}
    result = lax.reduce_window_max_p.bind(flat, **params)
    result = lax.reshape(result, (*front, *result.shape[1:]))
    return lax.transpose(result, np.argsort(order))


def _scan(*operands: Any, **params: Any) -> Any:
    """Returns the results of a scan that runs forwards, over reversed operands if need be."""
    if not params["reverse"]:
        return scan(RULES, *operands, **params)
    carries = params["num_carry"]
    kept = params["num_consts"] + carries

    def flip(values: Sequence[Any]) -> list[Any]:
        return [lax.rev(x, (0,)) for x in values]

    results = scan(RULES, *operands[:kept], *flip(operands[kept:]), **params | {"reverse": False})
    return [*results[:carries], *flip(results[carries:])]


RULES: dict[str, Rule] = {
    "pad": _pad,
    "reduce_window_max": _reduce_window_max,
    "scan": _scan,
}
"""Replacements of primitives that jax2onnx converts wrongly or not at all."""
