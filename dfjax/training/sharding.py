"""The device mesh, and which part of which array lies on which device. Rules are data.

All three axes split the batch; `fsdp` also splits large parameters by input channel, and `tensor`
by output channel.
"""

import math
import re
from collections.abc import Sequence
from typing import Any

import jax
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from dfjax.errors import UsageError

AXES = ("data", "fsdp", "tensor")
BATCH_SPEC = PartitionSpec(AXES)
LARGE = 2**20  # elements; a parameter of this size must be named by a rule


def make_mesh(data: int, fsdp: int, tensor: int, devices: Sequence[jax.Device] = ()) -> Mesh:
    """Returns the mesh of axes `data fsdp tensor`; `data` = -1 takes the devices that are left.

    Axes are `Auto`: JAX's default, `Explicit`, refuses convolutions with sharded kernels.

    Raises:
        UsageError: the axes do not multiply to the number of devices.
    """
    found = list(devices) or jax.devices()
    if data == -1:
        data = max(1, len(found) // (fsdp * tensor))
    if data * fsdp * tensor != len(found):
        raise UsageError(
            f"mesh data={data} fsdp={fsdp} tensor={tensor} needs {data * fsdp * tensor} devices, "
            f"this machine has {len(found)}; set mesh.data=-1 to take what is left"
        )
    return jax.make_mesh((data, fsdp, tensor), AXES, axis_types=(AxisType.Auto,) * 3, devices=found)


def check_batch(
    batch_size: int, mesh: Mesh, key: str, *, parts: int = 1, pairs: bool = False
) -> None:
    """Checks that a batch, in `parts` of it, divides over the mesh.

    Args:
        batch_size: clips.
        mesh: of the devices.
        key: of the config, for the message.
        parts: in which the batch goes through the model.
        pairs: real and fake clips alternate, and several parts must not part them.

    Raises:
        UsageError: it does not; the message names the nearest sizes that do.
    """
    pairs = pairs and parts > 1
    shards = mesh.size * parts * (2 if pairs else 1)
    if batch_size % shards:
        below, above = batch_size // shards * shards, -(-batch_size // shards) * shards
        nearest = f"{below} or {above}" if below else f"{above}"
        raise UsageError(
            f"{key}={batch_size} does not divide over {mesh.size} devices"
            + (f" in {parts} parts" if parts > 1 else "")
            + (" of real and fake side by side" if pairs else "")
            + f"; the nearest sizes that do: {nearest}"
        )


def state_shardings(
    shapes: Any,
    mesh: Mesh,
    rules: Sequence[tuple[str, PartitionSpec]],
) -> Any:
    """Returns a `NamedSharding` per leaf of the state: the first rule that its path matches.

    A rule says how the last dimensions are split, so that one does for matrices and convolutions.
    Paths are joined by slashes. Optimiser moments end in the path of their parameter and so follow
    its rule. Leaves that no rule names are replicated, which is refused for large ones as soon as
    the mesh could split them.

    Raises:
        UsageError: a rule matches nothing, a large leaf matches no rule, or a dimension does not
            divide over its axes.
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
            raise UsageError(f"no sharding rule names the large parameter {name} {leaf.shape}")
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
    """Returns parameters that are whole on every device.

    A step computes on whole parameters and a split batch. Leaving it to the partitioner to split
    activations by channel too gave wrong gradients of convolutions (jax 0.10.2, mesh 2,2,2, by up
    to their own size); tests compare every mesh with one device.

    Args:
        params: Parameters, split as `shardings` says.
        shardings: Sharding of each parameter, a tree of `NamedSharding`; None on one device, where
            nothing is to be done.
    """
    if shardings is None:
        return params
    whole = jax.tree.map(lambda s: NamedSharding(s.mesh, PartitionSpec()), shardings)
    return jax.lax.with_sharding_constraint(params, whole)


def split_like(grads: Any, shardings: Any) -> Any:
    """Returns gradients that are split as the parameters are; arguments as for `gather`."""
    return grads if shardings is None else jax.lax.with_sharding_constraint(grads, shardings)


def put_batch(batch: dict[str, np.ndarray], mesh: Mesh) -> dict[str, jax.Array]:
    """Returns the host's part of a batch as global arrays, split over all axes."""
    sharding = NamedSharding(mesh, BATCH_SPEC)
    return {k: jax.make_array_from_process_local_data(sharding, v) for k, v in batch.items()}
