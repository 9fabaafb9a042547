"""How an operator reaches the hardware: decided when a model is built, never while tracing."""

import dataclasses

import jax

from dfjax.errors import unknown

LOWERINGS = ("auto", "native", "matmul")


@dataclasses.dataclass(frozen=True)
class Lowering:
    """The resolved choice; hashable, so it can be a static argument and a module attribute.

    Attributes:
        matmul: convolutions as shifted multiplies and matrix products. XLA's CPU backend has no
            usable gradient for grouped or k x k convolutions, elsewhere the native form is right.
        batch_scan: a depthwise weight gradient scans over the batch, whose working set then stays
            in the cache. A scan over a sharded axis undoes the sharding: one data shard only.
        tap_gradient: the native depthwise form takes its weight gradient tap by tap. XLA's
            partitioner gets that of a grouped convolution wrong by the size of every mesh axis
            that does not split the batch (jax 0.10.2, GSPMD and Shardy alike).
    """

    matmul: bool
    batch_scan: bool = False
    tap_gradient: bool = False


NATIVE = Lowering(matmul=False)
MATMUL = Lowering(matmul=True)


def resolve(name: str) -> Lowering:
    """Returns the `Lowering` called `auto`, `native` or `matmul`.

    `auto` is `matmul` on a CPU, with the batch scan if that CPU is the only device, and `native` on
    every other platform. Exported and planned programs name `native`, so that they do not depend on
    the machine they were made on.

    Raises:
        UsageError: the name is unknown.
    """
    if name not in LOWERINGS:
        raise unknown("lowering", name, LOWERINGS)
    if name == "auto" and jax.default_backend() == "cpu":
        return Lowering(matmul=True, batch_scan=jax.device_count() == 1)
    if name == "matmul":
        return MATMUL
    return Lowering(matmul=False, tap_gradient=jax.device_count() > 1)
