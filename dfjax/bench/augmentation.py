"""What `dfjax bench augment` measures: augmentation on this device, beside a step of the flagship.

Every preset changes the same clips u8[B,T,S,S,3], from bytes to floating point, in turn with a
training step of S0A at the same batch, so that all of them see the same machine.
"""

import statistics
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key, UInt8

from dfjax.bench.workloads import Program, Settings, compile_function, make_program
from dfjax.data.transforms.augment import make_augment
from dfjax.data.transforms.augment_presets import PRESETS, choose_operations

FILL = (0.5, 0.5, 0.5)
MAIN = "crop_jitter"  # the preset of the result's own keys
BESIDE = "s0a"


class Measured(NamedTuple):
    """One preset: seconds of each timed call, of its compilation, and its bytes."""

    seconds: list[float]
    compile_s: float
    peak_bytes: int


def measure_augment(settings: Settings, steps: int) -> tuple[dict[str, Measured], list[float]]:
    """Returns what every preset takes, and the seconds of each training step beside them.

    Args:
        settings: batch, frames, size and the detector's dtype and lowering.
        steps: timed calls of each.
    """
    train = make_program(settings._replace(workload=BESIDE, mode="train"))
    programs = {name: _compile(name, settings) for name in PRESETS if choose_operations(name)}
    seconds: dict[str, list[float]] = {name: [] for name in programs}
    beside = []
    for _ in range(steps + 1):
        beside.append(_time(train.step))
        for name, program in programs.items():
            seconds[name].append(_time(program.step))
    measured = {
        name: Measured(seconds[name][1:], program.compile_s, program.peak_bytes)
        for name, program in programs.items()
    }  # the first of each warmed up
    return measured, beside[1:]


def _compile(preset: str, settings: Settings) -> Program:
    augment = make_augment(choose_operations(preset), fill=FILL)
    assert augment is not None  # `none` was left out
    batch, frames, size = settings.batch, settings.frames, settings.size
    clips = jax.random.randint(jax.random.key(0), (batch, frames, size, size, 3), 0, 256, jnp.uint8)
    mask = jnp.ones((batch, frames), bool)

    @jax.jit
    def change(clips: UInt8[Array, "B T S S 3"], rng: Key[Array, ""]) -> Float[Array, "B T S S 3"]:
        changed = augment({"clip": clips.astype(jnp.float32) / 255.0, "mask": mask}, rng)
        return changed["clip"]

    compiled, seconds, peak = compile_function(change, clips, jax.random.key(0))
    keys = iter(range(2**31))

    def step() -> None:
        jax.block_until_ready(compiled(clips, jax.random.key(next(keys))))

    return Program(step, seconds, peak, 0)


def _time(call: Callable[[], None]) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def report(
    settings: Settings, measured: dict[str, Measured], beside: list[float]
) -> dict[str, Any]:
    """Returns the row for `--json`: the preset `crop_jitter`, and under `presets` all of them.

    `share_of_s0a_step` is what augmenting a batch takes of a training step on it.
    """
    step = statistics.median(beside)

    def describe(preset: str) -> dict[str, float]:
        median = statistics.median(measured[preset].seconds)
        return {
            "median_s": median,
            "items_per_s": settings.batch / median,
            "share_of_s0a_step": median / step,
        }

    return {
        "preset": MAIN,
        **describe(MAIN),
        "compile_s": measured[MAIN].compile_s,
        "peak_bytes": measured[MAIN].peak_bytes,
        "params": 0,
        "s0a_step": {"median_s": step, "items_per_s": settings.batch / step},
        "presets": {name: describe(name) for name in measured},
    }
