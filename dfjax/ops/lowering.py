"""Selects how operators are lowered: once when a model is built, never while tracing."""

import dataclasses

import jax

from dfjax.errors import unknown

LOWERINGS = ("auto", "native", "matmul")


@dataclasses.dataclass(frozen=True)
class Lowering:
    """A resolved lowering. It is hashable, so it can be a static argument and a module attribute.

    Attributes:
        matmul: Whether convolutions are computed as shifted multiplications and matrix products.
            XLA's CPU backend has no usable gradient for grouped or k x k convolutions. On other
            backends the native form is faster.
        batch_scan: Whether weight gradients scan over the batch, so that their working set stays
            in the cache. A scan over a sharded axis undoes the sharding, so this needs a single
            data shard.
        tap_gradient: Whether the native depthwise convolution computes its weight gradient one tap
            at a time. XLA's partitioner returns a wrong native gradient when an axis of the mesh
            does not split the batch: it is off by the size of that axis (jax 0.10.2, with GSPMD and
            with Shardy). Where every axis splits the batch, the native gradient is right, and
            faster.
        tanh_silu: Whether SiLU is computed by a hyperbolic tangent, for which a TPU has an
            instruction, instead of an exponential and a division.
    """

    matmul: bool
    batch_scan: bool = False
    tap_gradient: bool = False
    tanh_silu: bool = False


NATIVE = Lowering(matmul=False)
MATMUL = Lowering(matmul=True)


def resolve(
    name: str | Lowering, *, batch_on_every_axis: bool = False, platform: str = ""
) -> Lowering:
    """Returns the `Lowering` called `auto`, `native` or `matmul`; a `Lowering` is returned itself.

    `auto` is `matmul` on a CPU, with the batch scan if that CPU is the only device, and `native` on
    every other platform, on a TPU with `tanh_silu`. Export uses `native`, so that its programs do
    not depend on the machine that made them.

    Args:
        name: Name of a lowering.
        batch_on_every_axis: Whether the caller vouches that every axis of the device mesh splits
            the batch, as in training from a config. Otherwise the native form takes depthwise
            weight gradients tap by tap if there are several devices.
        platform: Platform to run on; empty for that of this process.

    Raises:
        UsageError: The name is unknown.
    """
    if isinstance(name, Lowering):
        return name
    if name not in LOWERINGS:
        raise unknown("lowering", name, LOWERINGS)
    platform = platform or jax.default_backend()
    if name == "auto" and platform == "cpu":
        return Lowering(matmul=True, batch_scan=jax.device_count() == 1)
    if name == "matmul":
        return MATMUL
    return Lowering(
        matmul=False,
        tap_gradient=jax.device_count() > 1 and not batch_on_every_axis,
        tanh_silu=name == "auto" and platform == "tpu",
    )
