"""The device mesh, and the sharding of batches and parameters over it.

All three axes of the mesh split the batch. `fsdp` also splits large parameters by input channel,
and `tensor` by output channel, as the sharding rules of a model say.
"""

import math
import re
from collections.abc import Sequence
from typing import Any

import jax
import numpy as np
from jax.experimental import mesh_utils
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from dfjax import processes
from dfjax.errors import UsageError

AXES = ("data", "fsdp", "tensor")
BATCH_AXES = AXES
"""Axes that split the batch. If one did not, gradients of native depthwise convolutions would be
wrong (see `dfjax.ops.lowering`)."""

BATCH_SPEC = PartitionSpec(BATCH_AXES)
LARGE = 2**20  # elements; a parameter of this size must be named by a rule


def make_mesh(data: int, fsdp: int, tensor: int, devices: Sequence[jax.Device] = ()) -> Mesh:
    """Returns a mesh with the axes `data`, `fsdp` and `tensor`.

    The axis type is `Auto`, because JAX's default, `Explicit`, does not support convolutions with
    sharded kernels.

    Args:
        data: Size of the axis `data`; -1 for all devices that the other axes leave.
        fsdp: Size of the axis `fsdp`.
        tensor: Size of the axis `tensor`.
        devices: Devices of the mesh; empty for all devices.

    Raises:
        UsageError: The product of the sizes is not the number of devices, or `data` does not divide
            over the slices of the TPUs.
    """
    found = list(devices) or jax.devices()
    if data == -1:
        data = max(1, len(found) // (fsdp * tensor))
    if data * fsdp * tensor != len(found):
        raise UsageError(
            f"mesh data={data} fsdp={fsdp} tensor={tensor} needs {data * fsdp * tensor} devices, "
            f"but there are {len(found)}; set mesh.data=-1 to use all that the other axes leave"
        )
    shape, types = (data, fsdp, tensor), (AxisType.Auto,) * 3
    slices = {getattr(device, "slice_index", 0) for device in found}
    if len(slices) > 1:
        return Mesh(_arrange_slices(shape, len(slices), found), AXES, axis_types=types)
    if any(getattr(device, "core_on_chip", 0) for device in found):  # JAX wants one per chip
        return Mesh(np.array(found).reshape(shape), AXES, axis_types=types)
    return jax.make_mesh(shape, AXES, axis_types=types, devices=found)


def _arrange_slices(
    shape: tuple[int, int, int], slices: int, devices: Sequence[jax.Device]
) -> np.ndarray:
    """Returns the devices of several TPU slices, of which the axis `data` crosses the network."""
    data, fsdp, tensor = shape
    if data % slices:
        raise UsageError(
            f"mesh.data={data} does not divide over {slices} slices, which only the axis data can "
            "cross"
        )
    inside = (data // slices, fsdp, tensor)
    return mesh_utils.create_hybrid_device_mesh(
        inside, (slices, 1, 1), devices, allow_split_physical_axes=True
    )


def check_batch(
    batch_size: int, mesh: Mesh, key: str, *, parts: int = 1, pairs: bool = False
) -> None:
    """Checks that every part of a batch divides evenly over the devices of the mesh.

    Args:
        batch_size: Number of clips per batch.
        mesh: Device mesh.
        key: Config key of the batch size, for the message.
        parts: Number of parts that a batch is divided into.
        pairs: Whether real and fake clips alternate, so that neighbours must stay in one part.

    Raises:
        UsageError: It does not; the message names the nearest batch sizes that do.
    """
    pairs = pairs and parts > 1
    shards = mesh.size * parts * (2 if pairs else 1)
    if batch_size % shards:
        below, above = batch_size // shards * shards, -(-batch_size // shards) * shards
        nearest = f"{below} or {above}" if below else f"{above}"
        raise UsageError(
            f"{key}={batch_size} does not divide over {mesh.size} devices"
            + (f" in {parts} parts" if parts > 1 else "")
            + (" of pairs of a real and a fake clip" if pairs else "")
            + f"; the nearest sizes that do: {nearest}"
        )


def state_shardings(
    shapes: Any,
    mesh: Mesh,
    rules: Sequence[tuple[str, PartitionSpec]],
) -> Any:
    """Returns the `NamedSharding` of each leaf of the state, by the first rule it matches.

    The specification of a rule applies to the last dimensions of a leaf, so that one rule covers
    matrices and convolution kernels. The path of an optimiser moment ends in the path of its
    parameter, so the same rule applies to both. Leaves without a rule are replicated; for leaves of
    2^20 elements or more this is an error if the mesh has an axis that splits parameters.

    Args:
        shapes: Training state with `jax.ShapeDtypeStruct` leaves.
        mesh: Device mesh.
        rules: Pairs (regular expression searched in the path of a leaf, specification).

    Raises:
        UsageError: A rule matches no leaf, a large leaf has no rule, or a dimension is not
            divisible by the number of devices along its axes.
    """
    used: set[str] = set()

    def choose(path: tuple[Any, ...], leaf: jax.ShapeDtypeStruct) -> NamedSharding:
        name = jax.tree_util.keystr(path, simple=True, separator="/")
        for pattern, spec in rules:
            if re.search(pattern, name):
                used.add(pattern)
                spec = PartitionSpec(*(None,) * (len(leaf.shape) - len(spec)), *spec)
                _check_divides(name, leaf.shape, spec, mesh)
                return NamedSharding(mesh, spec)
        if leaf.size >= LARGE and mesh.shape["fsdp"] * mesh.shape["tensor"] > 1:
            raise UsageError(f"no sharding rule matches the large parameter {name} {leaf.shape}")
        return NamedSharding(mesh, PartitionSpec())

    shardings = jax.tree_util.tree_map_with_path(choose, shapes)
    for pattern, _ in rules:
        if pattern not in used:
            raise UsageError(f"the sharding rule {pattern!r} matches no parameter")
    return shardings


def _check_divides(name: str, shape: tuple[int, ...], spec: PartitionSpec, mesh: Mesh) -> None:
    for size, axes in zip(shape, spec):
        names = axes if isinstance(axes, tuple) else (axes,) if axes else ()
        shards = math.prod(mesh.shape[axis] for axis in names)
        if size % shards:
            raise UsageError(f"{name} {shape}: {size} does not divide over {shards} devices")


def gather(params: Any, shardings: Any) -> Any:
    """Returns the parameters replicated on every device.

    A step computes with replicated parameters and a sharded batch. When XLA's partitioner was left
    to shard activations by channel too, gradients of convolutions were wrong by up to 100 %
    (jax 0.10.2, mesh 2 × 2 × 2); tests compare every mesh with one device.

    Args:
        params: Parameters with the sharding `shardings`.
        shardings: Sharding of each parameter, a tree of `NamedSharding`; None on one device, where
            `params` is returned unchanged.
    """
    if shardings is None:
        return params
    whole = jax.tree.map(lambda s: NamedSharding(s.mesh, PartitionSpec()), shardings)
    return jax.lax.with_sharding_constraint(params, whole)


def split_like(grads: Any, shardings: Any) -> Any:
    """Returns gradients with the sharding of the parameters.

    Args:
        grads: Gradients, a tree with the structure of the parameters.
        shardings: Sharding of each parameter; None on one device.
    """
    return grads if shardings is None else jax.lax.with_sharding_constraint(grads, shardings)


def local_places(batch_size: int, mesh: Mesh) -> Sequence[int]:
    """Returns the numbers of the clips of a batch that this process reads for its devices."""
    return processes.local_places(NamedSharding(mesh, BATCH_SPEC), batch_size)


def put_batch(batch: dict[str, np.ndarray], mesh: Mesh) -> dict[str, jax.Array]:
    """Returns this process's clips of a batch as global arrays that are split over all axes."""
    sharding = NamedSharding(mesh, BATCH_SPEC)
    return {k: processes.make_global(v, sharding) for k, v in batch.items()}


def as_template(shapes: Any, shardings: Any) -> Any:
    """Returns the tree of `jax.ShapeDtypeStruct` with shardings that `restore_last` takes."""
    return jax.tree.map(
        lambda s, sharding: jax.ShapeDtypeStruct(s.shape, s.dtype, sharding=sharding),
        shapes,
        shardings,
    )
