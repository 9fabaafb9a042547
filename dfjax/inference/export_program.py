"""The program of a trained detector or generator: preprocessing, network and output as one."""

import dataclasses
import functools
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from dfjax.experiment import builders
from dfjax.experiment.frozen_backbone import restore
from dfjax.experiment.saved import Assembled, Saved, assemble
from dfjax.exporting.program import FAKE_PROB, RESTORED, Apply, Program
from dfjax.inference.generator import make_restore
from dfjax.models.registry import find_entry
from dfjax.shapes import Variables
from dfjax.weights.rounding import FLOAT32

Call = Callable[..., np.ndarray]

CLIPS = 8
"""Number of clips that an exported file is compared with the checkpoint on."""


def make_program(
    saved: Saved,
    metadata: Mapping[str, Any],
    *,
    mask: bool = False,
    lowering: str = "native",
    size: int = 0,
) -> Program:
    """Returns the program of a stored detector or generator.

    It reads `clip u8[B,T,S,S,3]`, face crops with the number of frames and the size of the config,
    and `flow f32[B,T-1,S,S,2]` where the model needs it, in pixels. It computes in float32.

    Args:
        saved: Stored parts.
        metadata: Entries of the header of the file.
        mask: Whether `mask bool[B,T]` is an input too, False for frames without a face. Otherwise
            all frames count.
        lowering: Lowering of the convolutions; with `native` the program is one for all platforms.
        size: Side S of the crops, from which the program resizes; 0 is that of the config.
    """
    networks = assemble(_rebuild(saved, lowering), saved.folder)
    config = saved.config
    frames, size = config.data.frames, size or _input_size(saved)
    inputs = {"clip": jax.ShapeDtypeStruct((frames, size, size, 3), np.uint8)}
    if "flow" in builders.model_extras(config):
        inputs["flow"] = jax.ShapeDtypeStruct((frames - 1, size, size, 2), np.float32)
    if mask:
        inputs["mask"] = jax.ShapeDtypeStruct((frames,), np.bool_)
    generates = find_entry(config.model.name).generates
    make = functools.partial(_make_restored, size=size) if generates else _make_fake_prob
    on_cpu = assemble(_rebuild(saved, "matmul"), saved.folder) if lowering == "native" else networks
    return Program(
        apply=make(networks),
        variables=jax.tree.map(jnp.asarray, jax.device_get(networks.variables)),
        inputs=inputs,
        output=RESTORED if generates else FAKE_PROB,
        metadata=metadata,
        on_cpu=make(on_cpu),
    )


def _make_restored(networks: Assembled, *, size: int) -> Apply:
    restore_clips = make_restore(networks.apply, size)
    return lambda variables, batch: restore_clips(variables, batch["clip"])


def _make_fake_prob(networks: Assembled) -> Apply:
    def fake_prob(variables: Variables, batch: Mapping[str, Array]) -> Array:
        batch = {"mask": jnp.ones(batch["clip"].shape[:2], bool), **batch}
        inputs = networks.preprocess(batch, None, train=False)
        logits, _, _ = networks.apply(variables, inputs, train=False, rngs=None)
        return jax.nn.sigmoid(logits.astype(jnp.float32))

    return fake_prob


def _rebuild(saved: Saved, lowering: str) -> Saved:
    """Returns stored parts whose networks compute in float32 by convolutions of a lowering."""
    config = saved.config.copy_and_resolve_references().unlock()
    config.lowering, config.precision = lowering, "float32"
    backbone = saved.backbone
    if backbone:
        record = backbone.record | {"precision": "float32"}
        source = str(saved.folder)
        backbone = restore(record, backbone.variables, source=source, lowering=lowering)
    return saved._replace(config=config.lock(), backbone=backbone)


def _input_size(saved: Saved) -> int:
    if saved.backbone:
        return int(saved.backbone.record["preprocess"]["size"])
    return int(saved.config.preprocess.size)


def run_program(program: Program, *arrays: np.ndarray) -> np.ndarray:
    """Returns the output of a program for arrays of its inputs, in order."""
    return np.asarray(jax.jit(program.call)(program.variables, *arrays))


def run_on_cpu(program: Program) -> Program:
    """Returns the program that computes on every platform as detectors do on a CPU."""
    return dataclasses.replace(program, apply=program.on_cpu or program.apply)


def round_program(program: Program, kernels: str) -> tuple[Program, float]:
    """Returns a program with rounded kernels, and the largest change of its output.

    Args:
        program: Program of a checkpoint.
        kernels: One of `weights.rounding.KINDS`.
    """
    if kernels == FLOAT32:
        return program, 0.0
    rounded = program.round(kernels)
    found = run_on_cpu(rounded)
    return rounded, compare(lambda *arrays: run_program(found, *arrays), run_on_cpu(program))


def compare(call: Call, reference: Program) -> float:
    """Returns the largest difference between the outputs of a function and of a program.

    Args:
        call: Function of the inputs, in order, for example the program in a file.
        reference: Program that it is compared with on `CLIPS` clips.
    """
    examples = make_examples(reference)
    wanted = run_program(reference, *examples).astype(np.float64)
    return float(np.abs(call(*examples).astype(np.float64) - wanted).max())


def make_examples(program: Program) -> list[np.ndarray]:
    """Returns inputs for `CLIPS` clips: noise of several scales and contrasts, the same every time.

    Args:
        program: Program that they are for.
    """
    rng = np.random.default_rng(0)
    return [_make_example(rng, x.shape, np.dtype(x.dtype)) for x in program.inputs.values()]


def _make_example(rng: np.random.Generator, shape: tuple[int, ...], dtype: Any) -> np.ndarray:
    if dtype == np.bool_:
        mask = rng.random((CLIPS, *shape)) < 0.7
        mask[:, 0] = True
        return mask
    if dtype == np.float32:
        return rng.normal(size=(CLIPS, *shape)).astype(np.float32)
    frames, height, width, channels = shape
    clips = []
    for number in range(CLIPS):
        cells = 2 ** (number % 4 + 1)
        coarse = rng.normal(size=(frames, cells, cells, channels))
        rows, columns = np.arange(height) * cells // height, np.arange(width) * cells // width
        level, contrast = 64 + 16 * number, 12 * (number + 1)
        clips.append(level + contrast * coarse[:, rows][:, :, columns])
    return np.clip(np.round(clips), 0, 255).astype(np.uint8)
