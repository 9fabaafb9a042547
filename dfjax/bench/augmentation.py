"""Measures augmentation on this device, compared with a training step of the dual-stream detector.

Every preset converts the same clips u8[B,T,S,S,3] to floating point and augments them. The calls of
the presets and the training step, with the same batch, alternate, so that all run under the same
load.
"""

import itertools
import statistics
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key, UInt8

from dfjax.bench.rows import Cost, identify, summarize, timed
from dfjax.bench.workloads import BenchSettings, Program, compile_function, make_program
from dfjax.data.transforms.augment import make_augment
from dfjax.data.transforms.augment_presets import PRESETS

FILL = (0.5, 0.5, 0.5)
WORKLOAD = "augment"


def measure_augment(
    *, batch: int, frames: int, size: int, dtype: str, lowering: str, steps: int
) -> dict[str, Any]:
    """Returns a row of the benchmark for augmentation.

    The values of the row are those of the slowest preset, which `preset` names; `presets` contains
    those of all presets. `share_of_dual_stream_step` is the time of augmenting a batch as a
    fraction of `dual_stream_step`, the time of a training step.

    Args:
        batch: Number of clips per step.
        frames: Number of frames per clip.
        size: Side of a frame in pixels.
        dtype: Data type of the activations of the detector.
        lowering: Lowering of the convolutions of the detector.
        steps: Number of timed calls of each preset and of the training step.
    """
    run: dict[str, Any] = {
        "mode": "train", "batch": batch, "frames": frames, "size": size, "dtype": dtype,
    }  # fmt: skip
    train = make_program(BenchSettings("dual_stream", lowering=lowering, **run))
    programs = {
        name: _compile(name, (batch, frames, size, size, 3))
        for name, preset in PRESETS.items()
        if preset.operations
    }
    costs: dict[str, list[Cost]] = {name: [] for name in programs}
    beside: list[Cost] = []
    for _ in range(steps + 1):
        with timed(beside):
            train.run(1)
        for name, program in programs.items():
            with timed(costs[name]):
                program.run(1)
    step = summarize(beside[1:], batch)  # the first call of each is a warm-up
    presets = {
        name: _describe(costs[name][1:], batch, beside=step["median_s"]) for name in programs
    }
    slowest = max(presets, key=lambda name: presets[name]["median_s"])
    return identify(workload=WORKLOAD, **run) | {
        "preset": slowest,
        **presets[slowest],
        "compile_s": programs[slowest].compile_s,
        "peak_bytes": programs[slowest].peak_bytes,
        "params": 0,
        "dual_stream_step": step,
        "presets": presets,
    }


def _describe(costs: list[Cost], batch: int, *, beside: float) -> dict[str, float]:
    share = statistics.median(cost.wall for cost in costs) / beside
    return summarize(costs, batch) | {"share_of_dual_stream_step": share}


def _compile(preset: str, shape: tuple[int, ...]) -> Program:
    augment = make_augment(PRESETS[preset], fill=FILL)
    assert augment is not None  # a preset without operations was left out
    clips = jax.random.randint(jax.random.key(0), shape, 0, 256, jnp.uint8)
    mask = jnp.ones(shape[:2], bool)

    @jax.jit
    def change(clips: UInt8[Array, "B T S S 3"], rng: Key[Array, ""]) -> Float[Array, "B T S S 3"]:
        changed = augment({"clip": clips.astype(jnp.float32) / 255.0, "mask": mask}, rng)
        return changed["clip"]

    compiled, seconds, peak = compile_function(change, clips, jax.random.key(0))
    seeds = itertools.count()

    def run(count: int) -> None:
        jax.block_until_ready(
            [compiled(clips, jax.random.key(next(seeds))) for _ in range(count)][-1]
        )

    return Program(run, seconds, peak, 0)
