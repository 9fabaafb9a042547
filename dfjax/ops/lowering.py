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
            at a time. XLA's partitioner returns a wrong gradient for a grouped convolution: it is
            off by the size of every mesh axis that does not split the batch (jax 0.10.2, with
            GSPMD and with Shardy).
    """

    matmul: bool
    batch_scan: bool = False
    tap_gradient: bool = False


NATIVE = Lowering(matmul=False)
MATMUL = Lowering(matmul=True)


def resolve(name: str) -> Lowering:
    """Returns the `Lowering` called `auto`, `native` or `matmul`.

    `auto` is `matmul` on a CPU, with the batch scan if that CPU is the only device, and `native` on
    every other platform. Export and planning use `native`, so that their programs do not depend on
    the machine that made them.

    Raises:
        UsageError: The name is unknown.
    """
    if name not in LOWERINGS:
        raise unknown("lowering", name, LOWERINGS)
    if name == "auto" and jax.default_backend() == "cpu":
        return Lowering(matmul=True, batch_scan=jax.device_count() == 1)
    if name == "matmul":
        return MATMUL
    return Lowering(matmul=False, tap_gradient=jax.device_count() > 1)
