"""Nominal figures of accelerator chips, and the times of collectives between them.

The figures are those that the vendors publish. For TPUs they are those of Google's documentation
(cloud.google.com/tpu/docs/v4, v5e, v5p, v6e, read in November 2026): peak bf16 compute, HBM and
interconnect per chip. "How to Scale Your Model" (jax-ml.github.io/scaling-book/tpus) gives one-way
bandwidths per link, rings only on full axes of 16 chips (v5e, v6e) or on axes that are multiples of
4 (v4, v5p), 25 GB/s per host between slices (100 for v6e), and 1.5 GHz for v5e. The clocks of v4
and v5p follow from the peak and the eight 128 x 128 matrix units of a chip; that of v6e is not
published. For GPUs they are those of NVIDIA's data sheets of H100 SXM, H200 SXM, A100 80 GB SXM and
L4, dense bf16, and of the network of a DGX with one adapter per GPU.
"""

import math
from typing import NamedTuple

from dfjax.errors import UsageError, unknown

HOP_S = 1e-6
"""Time from one chip to the next, seconds: an assumption, of the scaling book's order."""
NETWORK_S = 20e-6
"""Time of a message between slices or hosts, seconds: an assumption."""


class Chip(NamedTuple):
    """Nominal figures of a chip.

    Attributes:
        flops: Largest number of bf16 floating-point operations per second.
        hbm_bytes: Size of the memory.
        hbm_bandwidth: Bytes per second between memory and chip.
        link_bandwidth: Bytes per second of a link to a neighbour, in one direction.
        network_bandwidth: Bytes per second of the network between slices or hosts, per chip.
        largest: Number of chips that links connect.
        axes: Number of axes of the torus; 0 for GPUs behind a switch.
        ring: Length, or divisor of the length, of an axis that closes to a ring.
        cores: Number of devices that the compiler lists per chip.
        clock: Cycles per second, or 0 where it is not known.
    """

    flops: float
    hbm_bytes: float
    hbm_bandwidth: float
    link_bandwidth: float
    network_bandwidth: float
    largest: int
    axes: int = 0
    ring: int = 0
    cores: int = 1
    clock: float = 0.0


CHIPS = {
    "v4": Chip(275e12, 34.4e9, 1200e9, 45e9, 6.25e9, 4096, 3, 4, 2, 1.05e9),
    "v5e": Chip(197e12, 17.2e9, 819e9, 50e9, 3.125e9, 256, 2, 16, 1, 1.5e9),
    "v5p": Chip(459e12, 102e9, 2765e9, 100e9, 6.25e9, 8960, 3, 4, 1, 1.75e9),
    "v6e": Chip(918e12, 34.4e9, 1638e9, 100e9, 12.5e9, 256, 2, 16),
    "a100": Chip(312e12, 80e9, 2039e9, 300e9, 25e9, 8),
    "h100": Chip(989e12, 80e9, 3350e9, 450e9, 50e9, 8),
    "h200": Chip(989e12, 141e9, 4800e9, 450e9, 50e9, 8),
    "l4": Chip(121e12, 24e9, 300e9, 32e9, 12.5e9, 8),
}

FLAT = {1: "1x1", 4: "2x2", 8: "2x4", 16: "4x4", 32: "4x8", 64: "8x8", 128: "8x16", 256: "16x16"}
CUBIC = {
    **{1: "1x1x1", 4: "2x2x1", 8: "2x2x2", 16: "2x2x4", 32: "2x4x4", 64: "4x4x4", 128: "4x4x8"},
    **{256: "4x8x8", 512: "8x8x8", 1024: "8x8x16"},
}
"""Shapes of slices by their number of chips."""

MOST_CHIPS = 1024


def find_chip(name: str) -> Chip:
    """Returns the figures of a chip.

    Raises:
        UsageError: The name is unknown.
    """
    if name not in CHIPS:
        raise unknown("chip", name, CHIPS)
    return CHIPS[name]


def find_slices(name: str, chips: int) -> tuple[str, int]:
    """Returns the shape of a slice, such as `16x16`, and the number of slices of that many chips.

    Args:
        name: Name of a TPU.
        chips: Number of chips.

    Raises:
        UsageError: There is no such slice; the message lists the numbers of chips.
    """
    shapes, largest = (FLAT, 256) if CHIPS[name].axes == 2 else (CUBIC, MOST_CHIPS)
    slices = max(1, chips // largest)
    if chips > MOST_CHIPS or chips % slices or chips // slices not in shapes:
        several = [n for n in (512, 1024) if n not in shapes]
        sizes = ", ".join(map(str, [*shapes, *several]))
        raise UsageError(f"{name} has no slices of {chips} chips; numbers of chips: {sizes}")
    return shapes[chips // slices], slices


def estimate_collective(name: str, kind: str, count: int, size: float | int, chips: int) -> float:
    """Returns the seconds that collectives over all chips take if nothing overlaps them.

    A ring along every axis of the slice carries an equal part. A sum over several slices, or over
    several hosts with GPUs, is divided within each, exchanged over the network, and gathered.

    Args:
        name: Name of the chip.
        kind: Kind of the collectives; an `all-reduce` is a scatter and a gather.
        count: Number of collectives.
        size: Bytes of all of them, per chip.
        chips: Number of chips that take part.
    """
    if chips == 1 or not count:
        return 0.0
    chip, passes = CHIPS[name], 2 if kind == "all-reduce" else 1
    near = min(chips, chip.largest)
    bandwidth, hops = _describe_links(name, near)
    seconds = passes * (size * (near - 1) / near / bandwidth + count * hops * HOP_S)
    far = math.ceil(chips / near)
    if far > 1:
        share = size / near * (far - 1) / far / chip.network_bandwidth
        seconds += passes * (share + count * NETWORK_S)
    return seconds


def _describe_links(name: str, chips: int) -> tuple[float, int]:
    """Returns the bytes per second that a chip sends, and the hops of a pass over all axes."""
    chip = CHIPS[name]
    if not chip.axes:
        return chip.link_bandwidth, 2
    axes = [int(side) for side in _shape_of(name, chips).split("x") if side != "1"]
    rings = [side >= 4 and side % chip.ring == 0 for side in axes]
    bandwidth = sum(chip.link_bandwidth * (2 if ring else 1) for ring in rings)
    hops = sum(side // 2 if ring else side - 1 for side, ring in zip(axes, rings))
    return bandwidth, hops


def _shape_of(name: str, chips: int) -> str:
    shapes = {2: "2"} | (FLAT if CHIPS[name].axes == 2 else CUBIC)  # two chips have one link
    return shapes[min(n for n in shapes if n >= min(chips, max(shapes)))]
