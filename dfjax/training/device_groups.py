"""Data parallelism in which devices, or groups of them, have batch statistics of their own.

Under `jit` on a sharded batch, XLA inserts the sums over devices: two for every batch
normalisation, whose statistics are those of the whole batch, and those of the gradients. Here the
gradients are computed under `shard_map`, each device on its part of the batch, so that the sums are
chosen here.
"""

import functools
from typing import Any

import jax
from jax.sharding import AxisType, Mesh, PartitionSpec
from jax.typing import DTypeLike
from jaxtyping import Array, Float, Key

from dfjax.errors import UsageError
from dfjax.ops.batch_norm import GROUP_AXIS
from dfjax.shapes import Batch
from dfjax.training.accumulation import Gradients
from dfjax.training.detector_step import GradientFn

ACROSS = "groups"
AXES = (ACROSS, GROUP_AXIS)
SUMMED = (GROUP_AXIS, ACROSS)  # in the order of `AXES`, XLA of jax 0.12.0 aborts


def split_over_groups(
    compute_gradients: GradientFn, mesh: Mesh, *, group: int, dtype: DTypeLike | None = None
) -> GradientFn:
    """Returns `compute_gradients` under `shard_map`, with batch statistics per group of devices.

    Every device draws random numbers of its own, so a step is not that of one device with the same
    seed. The moving averages are updated with the means of the statistics over the groups: the
    variance between groups is not in them. A loss or an augmentation sees the clips of one device.

    Args:
        compute_gradients: Function that returns the gradients of a batch.
        mesh: Device mesh, all of whose axes split the batch.
        group: Number of neighbouring devices with common statistics.
        dtype: Dtype in which gradients are summed over devices; None for that of each gradient.
    """
    grouped = Mesh(mesh.devices.reshape(-1, group), AXES, axis_types=(AxisType.Auto,) * 2)
    whole, split = PartitionSpec(), PartitionSpec(AXES)
    outputs: Any = Gradients(*(whole,) * 3, split)  # type: ignore[arg-type]  # specs, not arrays

    @functools.partial(
        jax.shard_map,
        mesh=grouped,
        in_specs=(whole, whole, split, whole, whole, whole),
        out_specs=outputs,
        check_vma=False,  # the gradient of batch normalisation sums over devices itself
    )
    def compute(
        params: Any, batch_stats: Any, batch: Batch, root_rng: Key[Array, ""], step: Any, total: Any
    ) -> Gradients:
        place = jax.lax.axis_index(AXES)
        own = jax.random.fold_in(root_rng, place)
        loss, grads, stats, clips = compute_gradients(params, batch_stats, batch, own, step, total)
        return Gradients(
            jax.lax.psum(loss, SUMMED),
            jax.tree.map(functools.partial(_sum, dtype=dtype), grads),
            jax.lax.pmean(stats, ACROSS),
            clips,
        )

    return compute


def _sum(grad: Float[Array, "*shape"], *, dtype: DTypeLike | None) -> Float[Array, "*shape"]:
    return jax.lax.psum(grad.astype(dtype or grad.dtype), SUMMED).astype(grad.dtype)


def read_group(text: str, mesh: Mesh) -> int:
    """Returns the number of devices with common statistics of `train.batch_norm`.

    Args:
        text: `global`, `local`, or the number of devices of a group.
        mesh: Device mesh.
    """
    return {"global": mesh.size, "local": 1}.get(text) or int(text)


def check_groups(group: int, mesh: Mesh, *, clips: int, pairs: bool) -> None:
    """Checks that the devices divide into groups, and the clips of a group into pairs.

    Args:
        group: Number of devices with common statistics.
        mesh: Device mesh.
        clips: Number of clips on each device at a time.
        pairs: Whether real and fake clips alternate. A group with more of one class would have
            statistics that reveal the label.

    Raises:
        UsageError: They do not.
    """
    if mesh.size % group:
        raise UsageError(
            f"train.batch_norm={group}: {mesh.size} devices do not divide into groups of {group}"
        )
    if pairs and group * clips % 2:
        raise UsageError(
            f"a group of {group} devices has {group * clips} clips at a time, and data.pairing "
            "needs an even number: double train.batch_size, or choose larger groups"
        )
