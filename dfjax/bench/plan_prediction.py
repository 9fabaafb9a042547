"""Predicts the time of a training step and its weak scaling from the figures of its program."""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

from dfjax.bench.chips import CHIPS, HOP_S, NETWORK_S, estimate_collective
from dfjax.bench.hlo_figures import Collective

LANES = 128
SCALES = (8, 64, 256, 1024)
"""Numbers of chips of the weak-scaling table."""
WASTEFUL = 0.9
"""Share of the lanes in use below which a better batch size is named."""


class Bounds(NamedTuple):
    """Seconds of a step, as far as each resource alone limits it.

    Attributes:
        compute: Floating-point operations at the peak of the chip.
        memory: Bytes in HBM at its bandwidth.
        cycles: Cycles that the compiler estimates, at the clock of the chip; 0 where not known.
        network: Collectives, one after another.
    """

    compute: float
    memory: float
    cycles: float
    network: float

    @property
    def step(self) -> float:
        """Time of a step: the slowest resource of the chip, and the collectives after it."""
        return max(self.compute, self.memory, self.cycles) + self.network


def predict_bounds(
    name: str,
    *,
    flops: float | int,
    hbm_bytes: float | int,
    cycles: float | int,
    collectives: Sequence[Collective],
    chips: int,
) -> Bounds:
    """Returns the bounds of a step on each of `chips` chips.

    Args:
        name: Name of the chip.
        flops: Floating-point operations of a device.
        hbm_bytes: Bytes that a device reads and writes in HBM.
        cycles: Estimated cycles of a device; 0 where there is no estimate.
        collectives: Collectives of a step. Those over all devices take `chips` chips.
        chips: Number of chips.
    """
    chip = CHIPS[name]
    return Bounds(
        compute=flops / (chip.flops / chip.cores),
        memory=hbm_bytes / (chip.hbm_bandwidth / chip.cores),
        cycles=cycles / chip.clock if chip.clock else 0.0,
        network=_time_collectives(name, collectives, chips),
    )


def _time_collectives(name: str, collectives: Sequence[Collective], chips: int) -> float:
    """Returns the seconds of collectives if those of the largest group run on `chips` chips.

    Smaller groups, of the axes `fsdp` and `tensor`, keep their size.
    """
    widest, cores = max((one.group for one in collectives), default=1), CHIPS[name].cores
    return sum(
        estimate_collective(
            name,
            one.kind,
            one.count,
            one.bytes,
            chips if one.group == widest else min(chips, math.ceil(one.group / cores)),
        )
        for one in collectives
    )


def predict_scaling(
    name: str, bounds: Bounds, collectives: Sequence[Collective]
) -> list[dict[str, Any]]:
    """Returns a row of step time and efficiency for each number of chips in `SCALES`.

    The work per chip stays the same; efficiency is the time of a step without collectives divided
    by that with them.

    Args:
        name: Name of the chip.
        bounds: Bounds of the step.
        collectives: Collectives of a step.
    """
    alone = bounds._replace(network=0.0).step
    rows = []
    for chips in SCALES:
        step = alone + _time_collectives(name, collectives, chips)
        rows.append({"chips": chips, "step_s": step, "efficiency": alone / step if step else None})
    return rows


def describe_assumptions(name: str, bounds: Bounds) -> list[str]:
    """Returns the assumptions of a prediction, one sentence each.

    Args:
        name: Name of the chip.
        bounds: Bounds of the step.
    """
    chip = CHIPS[name]
    lines = [
        f"{name}: {chip.flops / 1e12:.0f} TFLOP/s in bf16, {chip.hbm_bytes / 1e9:.0f} GB at "
        f"{chip.hbm_bandwidth / 1e9:.0f} GB/s, {chip.link_bandwidth / 1e9:.0f} GB/s per link and "
        f"direction, {chip.network_bandwidth / 1e9:.3g} GB/s per chip between "
        f"{'slices' if chip.axes else 'hosts'}, all nominal.",
        "The step takes as long as the slowest of compute, HBM"
        + (" and the compiler's estimated cycles" if bounds.cycles else "")
        + ", then its collectives: nothing overlaps them. Input is never waited for.",
        f"A message takes {HOP_S * 1e6:.0f} µs per hop and {NETWORK_S * 1e6:.0f} µs between "
        f"{'slices' if chip.axes else 'hosts'} (assumed).",
    ]
    if not chip.axes:
        lines.append(
            "The bytes in HBM are those of a program whose element-wise operations are all fused, "
            "so the time by memory is a lower bound. The memory for activations is not known."
        )
    if chip.cores > 1:
        lines.append(f"The mesh counts cores; a chip has {chip.cores}, each with its share.")
    if chip.axes and not bounds.cycles:
        lines.append("The clock is not published, so cycles bound nothing: the step takes longer.")
    return lines


def check_lanes(batch: int, frames: int, devices: int) -> str | None:
    """Returns a warning if the frames of a device fill the 128 lanes badly, else None.

    Maps are laid out with the frames on the lanes if there are enough of them; a number just above
    a multiple of 128, or far below 128, leaves lanes empty.

    Args:
        batch: Number of clips per step.
        frames: Number of frames per clip.
        devices: Number of devices.
    """
    clips = batch // devices
    held = clips * frames
    used = _fill_lanes(held)
    best = max(1, LANES * max(1, round(held / LANES)) // frames)
    better = _fill_lanes(best * frames)
    if used >= WASTEFUL or better <= used:
        return None
    return (
        f"{held} frames per device fill {used:.0%} of the {LANES} lanes; "
        f"train.batch_size={best * devices} ({best * frames} frames) fills {better:.0%}"
    )


def _fill_lanes(frames: int) -> float:
    return frames / (LANES * math.ceil(frames / LANES))
