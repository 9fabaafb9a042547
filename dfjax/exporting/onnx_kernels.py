"""Stores the rounded kernels of an ONNX model as int8 or bfloat16."""

from typing import Any

import numpy as np

from dfjax.weights.rounding import INT8, Packed, pack, unpack

NODE_BYTES = 200
"""Approximate size of the node that restores a kernel, with its names."""


def store_kernels(model: Any, kind: str) -> None:
    """Replaces float32 constants of a model by smaller ones that have exactly their values.

    These are the kernels that were rounded before the conversion, whose axes the converter may have
    exchanged or joined. Others have values that int8 and scales, or bfloat16, cannot hold. The
    constants are restored in the graph by `DequantizeLinear` or `Cast`.

    Args:
        model: The `onnx.ModelProto`, which is changed.
        kind: `int8` or `bf16`.
    """
    from onnx import TensorProto, numpy_helper

    graph, nodes, constants = model.graph, [], []
    for tensor in graph.initializer:
        array = None
        if tensor.data_type == TensorProto.FLOAT and len(tensor.dims) > 1:
            array = numpy_helper.to_array(tensor)
        axis, packed = (0, None) if array is None else _pack_exactly(array, kind)
        if packed is None:
            constants.append(tensor)
            continue
        node, stored = _restore(tensor.name, axis, packed)
        nodes.append(node)
        constants += stored
    rest = list(graph.node)
    del graph.initializer[:], graph.node[:]
    graph.initializer.extend(constants)
    graph.node.extend([*nodes, *rest])


def _pack_exactly(array: np.ndarray, kind: str) -> tuple[int, Packed | None]:
    """Returns `(axis, packed)` of an array; None where it would change or not become smaller."""
    axes = sorted(range(array.ndim), key=lambda axis: array.shape[axis])
    for axis in axes if kind == INT8 else axes[:1]:
        packed = pack(array, kind, axis)
        scales = 0 if packed.scale is None else packed.scale.nbytes
        smaller = packed.values.nbytes + scales + NODE_BYTES < array.nbytes
        if smaller and np.array_equal(unpack(packed), array):
            return axis, packed
    return 0, None


def _restore(name: str, axis: int, packed: Packed) -> tuple[Any, list[Any]]:
    """Returns the node that computes a constant, and the constants that it reads."""
    from onnx import TensorProto, helper, numpy_helper

    if packed.scale is None:
        values = helper.make_tensor(
            f"{name}_bf16",
            TensorProto.BFLOAT16,
            packed.values.shape,
            packed.values.view(np.uint16).tobytes(),
            raw=True,
        )
        return helper.make_node("Cast", [values.name], [name], to=TensorProto.FLOAT), [values]
    values = numpy_helper.from_array(packed.values, f"{name}_int8")
    scale = numpy_helper.from_array(packed.scale.reshape(-1), f"{name}_scale")
    node = helper.make_node("DequantizeLinear", [values.name, scale.name], [name], axis=axis)
    return node, [values, scale]
