"""Random keys, named and derived: nothing random is carried from step to step."""

import zlib

import jax
from jaxtyping import Array, Int, Key


def make_rng(root: Key[Array, ""], stream: str, step: int | Int[Array, ""]) -> Key[Array, ""]:
    """Returns the key of `stream` at `step`: `fold_in(fold_in(root, crc32(stream)), step)`.

    The same (seed, stream, step) gives the same key in every run, so a resumed run draws what the
    uninterrupted one would have drawn.
    """
    return jax.random.fold_in(jax.random.fold_in(root, zlib.crc32(stream.encode())), step)
