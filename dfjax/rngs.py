"""Derives random keys from the seed, the name of a stream and the step.

No key is carried from step to step, so a checkpoint holds no random state.
"""

import zlib

import jax
from jaxtyping import Array, Int, Key


def make_rng(root: Key[Array, ""], stream: str, step: int | Int[Array, ""]) -> Key[Array, ""]:
    """Returns the key of `stream` at `step`: `fold_in(fold_in(root, crc32(stream)), step)`.

    The same (seed, stream, step) gives the same key in every run, so a resumed run draws the same
    random numbers as an uninterrupted one.

    Args:
        root: Key made from the seed of the run.
        stream: Name of the stream, such as "dropout".
        step: Number of the training step.
    """
    return jax.random.fold_in(jax.random.fold_in(root, zlib.crc32(stream.encode())), step)
