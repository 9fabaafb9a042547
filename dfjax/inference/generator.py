"""A trained generator, loaded from its workdir: `load_generator(workdir).restore(clips)`."""

import dataclasses
import functools
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, UInt8
from ml_collections import ConfigDict

from dfjax.errors import UsageError
from dfjax.experiment.compilation_cache import use_compilation_cache
from dfjax.experiment.saved import assemble, read_saved
from dfjax.models.registry import find_entry
from dfjax.ops.resize import resize
from dfjax.shapes import Apply, Variables

Clips = UInt8[Array, "N T H W 3"]


@dataclasses.dataclass
class Generator:
    """A trained generator, which restores clips of face crops.

    Attributes:
        config: Config that the generator was trained with.
        variables: `{"params", "batch_stats"}`, with the averaged parameters if averaging was on.
        checkpoint: Name of the checkpoint, for example `best/1200`.
        checkpoint_sha256: Hash of the checkpoint's files.
        workdir: Folder of the run; for a weights file, its path without the suffix.
        apply: Forward pass of the model.
    """

    config: ConfigDict
    variables: Variables
    checkpoint: str
    checkpoint_sha256: str
    workdir: Path
    apply: Apply

    def restore(self, clips: np.ndarray) -> np.ndarray:
        """Returns restored clips `u8[N,T,H,W,3]` of RGB clips `u8[N,T,H,W,3]`.

        Clips are face crops, cropped as in training, of any number of frames and any size. They are
        restored in batches of `eval.batch_size` at the side that the generator was trained with;
        for other sizes, the change of the pixels is resized and added to the clip, which keeps
        its detail. A clip is padded to the batch, so that one compiled program serves all batches.

        Raises:
            ValueError: The array has another dtype or rank, or no pixels.
        """
        clips = np.asarray(clips)
        if (
            clips.dtype != np.uint8
            or clips.ndim != 5
            or clips.shape[-1] != 3
            or 0 in clips.shape[1:]
        ):
            raise ValueError(
                f"restore takes uint8 [N, T, H, W, 3], not {clips.dtype} {clips.shape}"
            )
        size = self.config.eval.batch_size
        restored = np.empty_like(clips)
        for first in range(0, len(clips), size):
            part = clips[first : first + size]
            padded = np.concatenate([part, np.repeat(part[-1:], size - len(part), axis=0)])
            restored[first : first + size] = self._restore(self.variables, padded)[: len(part)]
        return restored

    @functools.cached_property
    def _restore(self) -> Callable[[Any, Any], Any]:
        return jax.jit(make_restore(self.apply, self.config.preprocess.size))


def make_restore(apply: Apply, size: int) -> Callable[[Variables, Clips], Clips]:
    """Returns the pure function `restore(variables, clips) -> clips` in uint8.

    Args:
        apply: Forward pass of the generator.
        size: Side that frames are resized to for the generator.
    """

    def restore(variables: Variables, clips: Clips) -> Clips:
        source = clips.astype(jnp.float32) / 127.5 - 1
        small = resize(source, (size, size))
        inputs = {"rgb": small, "mask": jnp.ones(clips.shape[:2], bool)}
        restored, _, _ = apply(variables, inputs, train=False, rngs=None)
        height, width = clips.shape[2:4]
        return to_pixels(source + resize(restored - small, (height, width)))

    return restore


def to_pixels(clips: Float[Array, "*shape"]) -> UInt8[Array, "*shape"]:
    """Returns values in [-1, 1] as pixels, rounded to the nearest."""
    return jnp.round(127.5 * (jnp.clip(clips, -1, 1) + 1)).astype(jnp.uint8)


def load_generator(
    source: str | os.PathLike[str], checkpoint: str = "best", *, model: str = ""
) -> Generator:
    """Returns a trained generator.

    Args:
        source: Workdir of a training run of a generator, or its safetensors file.
        checkpoint: `best` (on the validation data) or `last`, where `source` is a workdir.
        model: Name of the config of a safetensors file whose header does not have the config.

    Raises:
        UsageError: `source` is neither of the two, is of a detector, or does not fit its config.
    """
    use_compilation_cache(Path(source))
    saved = read_saved(source, checkpoint, model=model)
    if not find_entry(saved.config.model.name).generates:
        raise UsageError(f"{source} is a detector ({saved.config.name}), which restores no clips")
    networks = assemble(saved, source)
    return Generator(
        config=saved.config,
        variables=jax.device_put(saved.variables),
        checkpoint=saved.checkpoint,
        checkpoint_sha256=saved.checkpoint_sha256,
        workdir=saved.folder,
        apply=networks.apply,
    )
