"""Variance-scaling initialisers that can share one random draw for the whole model.

With one draw per parameter, XLA compiles hundreds of random number generators, and initialising the
dual-stream detector takes longer to compile than training it. Inside `one_draw` every initialiser
takes a slice of a single draw. Outside of it, each draws with the key that Linen gives it.
"""

import contextlib
import contextvars
import dataclasses
import math
from collections.abc import Callable, Iterator
from typing import TypeVar

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float, Key

V = TypeVar("V")

TRUNCATED_STD = 0.87962566103423978  # standard deviation of a standard normal truncated at ±2


@dataclasses.dataclass
class _Source:
    numbers: Array | None  # None while counting
    taken: int = 0

    def take(self, shape: tuple[int, ...]) -> Array:
        size = math.prod(shape)
        start, self.taken = self.taken, self.taken + size
        if self.numbers is None:
            return jnp.zeros(shape, jnp.float32)
        return jax.lax.slice(self.numbers, (start,), (start + size,)).reshape(shape)


_SOURCE: contextvars.ContextVar[_Source | None] = contextvars.ContextVar("source", default=None)


def one_draw(init: Callable[..., V], rng: Key[Array, ""], *args: object) -> V:
    """Returns `init(rng, *args)` with all random numbers of its initialisers from a single draw.

    Args:
        init: Function that initialises a module. It is traced twice, first to count the random
            numbers that it needs.
        rng: Key of the draw.
        args: Further arguments of `init`.
    """
    counter = _Source(None)
    with _source(counter):
        jax.eval_shape(init, rng, *args)
    numbers = jax.random.truncated_normal(rng, -2.0, 2.0, (counter.taken,))
    with _source(_Source(numbers)):
        return init(rng, *args)


@contextlib.contextmanager
def _source(source: _Source) -> Iterator[None]:
    token = _SOURCE.set(source)
    try:
        yield
    finally:
        _SOURCE.reset(token)


@dataclasses.dataclass(frozen=True)
class Scaled:
    """Initialiser with a truncated normal distribution of variance `gain / fan`.

    He et al. (2015), Glorot and Bengio (2010).

    Attributes:
        gain: Factor of the variance: 2 preserves the variance through a ReLU, 1 through a linear
            layer.
        fan: `in`, `out`, or `avg` for their mean.
    """

    gain: float
    fan: str

    def __call__(
        self, rng: Key[Array, ""], shape: tuple[int, ...], dtype: DTypeLike = jnp.float32
    ) -> Float[Array, "..."]:
        """Returns a kernel of shape `[..., inputs, outputs]`; leading axes are the kernel's map.

        Args:
            rng: Random key, which is not used inside `one_draw`.
            shape: Shape of the kernel.
            dtype: Dtype of the kernel.
        """
        field = math.prod(shape[:-2])
        fans: dict[str, float] = {"in": field * shape[-2], "out": field * shape[-1]}
        fans["avg"] = (fans["in"] + fans["out"]) / 2
        source = _SOURCE.get()
        if source is None:
            noise = jax.random.truncated_normal(rng, -2.0, 2.0, shape)
        else:
            noise = source.take(shape)
        return (noise * (math.sqrt(self.gain / fans[self.fan]) / TRUNCATED_STD)).astype(dtype)


HE_OUT = Scaled(2.0, "out")
HE_IN = Scaled(2.0, "in")
LECUN = Scaled(1.0, "in")
GLOROT = Scaled(1.0, "avg")


def forget_open(
    rng: Key[Array, ""], shape: tuple[int], dtype: DTypeLike = jnp.float32
) -> Float[Array, "_"]:
    """Returns the initial bias of an LSTM: 1 for the forget gate (the second of four), else 0.

    An open forget gate keeps the cell state at the start of training (Jozefowicz et al., 2015).
    """
    del rng
    size = shape[0] // 4
    return jnp.zeros(shape, dtype).at[size : 2 * size].set(1)
