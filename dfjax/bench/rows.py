"""Builds the rows of the benchmark: the settings of a measurement and the cost of a step."""

import contextlib
import resource
import statistics
import time
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import jax

import dfjax


class Cost(NamedTuple):
    """Cost of a step in seconds.

    Attributes:
        wall: Wall-clock time.
        user: CPU time of all threads of the process in user mode.
        system: CPU time of all threads of the process in the kernel, for example for page faults.
    """

    wall: float
    user: float
    system: float


@contextlib.contextmanager
def timed(costs: list[Cost]) -> Iterator[None]:
    """Context manager that appends the cost of its block, in this process, to `costs`."""
    before, start = resource.getrusage(resource.RUSAGE_SELF), time.perf_counter()
    yield
    wall, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_SELF)
    costs.append(Cost(wall, after.ru_utime - before.ru_utime, after.ru_stime - before.ru_stime))


def summarize(costs: Sequence[Cost], batch: int, *, steps: int = 1) -> dict[str, float]:
    """Returns the median costs of a step, and the items per second at the median wall time.

    Args:
        costs: Cost of each timed block.
        batch: Number of items per step.
        steps: Number of steps per block.
    """
    wall, user, system = (statistics.median(column) / steps for column in zip(*costs))
    return {"median_s": wall, "items_per_s": batch / wall, "user_s": user, "system_s": system}


def identify(
    *,
    workload: str,
    mode: str,
    batch: int,
    frames: int,
    size: int,
    dtype: str,
    device: str | None = None,
) -> dict[str, Any]:
    """Returns the keys that every row starts with: versions and settings.

    Args:
        workload: Name of the workload.
        mode: `train` or `infer`.
        batch: Number of items per step.
        frames: Number of frames per clip.
        size: Side of a frame in pixels.
        dtype: Name of the data type of activations.
        device: Kind of the device; None for that of JAX's first device, with compilation.
    """
    return {
        "peer": "dfjax",
        "version": dfjax.__version__,
        "jax": jax.__version__,
        "source": "dfjax",
        "workload": workload,
        "mode": mode,
        "batch": batch,
        "frames": frames,
        "size": size,
        "device": device or jax.devices()[0].device_kind,
        "dtype": dtype,
        "compile": device is None,
    }


def format_rate(per_second: float) -> str:
    """Returns a number of items per second with three digits, or without decimals from 1,000 on."""
    return f"{per_second:,.0f}" if per_second >= 999.5 else f"{per_second:.3g}"


def describe_row(row: dict[str, Any]) -> str:
    """Returns a row as text: speed, memory, and the ratios to what it was compared with."""
    text = (
        f"{row['workload']} {row['mode']}, batch {row['batch']}, {row['dtype']}: "
        f"{format_rate(row['items_per_s'])} items/s, {1e3 * row['median_s']:.1f} ms a step "
        f"({1e3 * row['user_s']:.1f} ms of CPU), {row['peak_bytes'] / 1e9:.2f} GB"
    )
    if "growth_percent" in row:
        growth = row["growth_percent"]
        text += f"\n  {row['ratio']:.2f} x the speed of PNG through OpenCV"
        if growth is not None:
            text += f"\n  memory grew by {growth:.1f} % after the first 1,000 clips"
    elif "presets" in row:
        step = row["dual_stream_step"]["median_s"]
        shares = (
            f"{name} {preset['share_of_dual_stream_step']:.1%}"
            for name, preset in row["presets"].items()
        )
        text += f"\n  share of a training step of dual_stream, {step:.2f} s: {', '.join(shares)}"
    else:
        text += f", compiled in {row['compile_s']:.0f} s"
    if "torch" in row:
        cpu = 1e3 * row["torch"]["user_s"]
        text += f"\n  {row['ratio']:.2f} x the speed of torch ({cpu:.1f} ms of CPU), "
        if "ratio_compiled" in row:
            text += f"{row['ratio_compiled']:.2f} x that of torch.compile"
        else:
            text += f"{row['ratio_plain']:.2f} x that of torch without our memory settings"
    return text
