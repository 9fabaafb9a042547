"""Counts what a compiled program does: bytes in HBM, padding, cycles and collectives.

The instructions of a loop's body count as often as the loop runs.
"""

import dataclasses
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from dfjax.bench.hlo_slices import list_moved
from dfjax.bench.hlo_text import Instruction, Module

COLLECTIVES = (
    *("all-reduce", "all-gather", "reduce-scatter"),
    *("all-to-all", "collective-permute", "collective-broadcast"),
)
FREE = {
    *("parameter", "constant", "tuple", "get-tuple-element", "bitcast", "after-all"),
    *("while", "conditional", "call", "opt-barrier", "partition-id", "replica-id"),
}
"""Instructions that move no bytes, or whose bytes are those of the computations they call."""

_ALLOCATION = 'custom_call_target="AllocateBuffer"'
_CYCLES = re.compile(r'"estimated_cycles":"(\d+)"')
_TRIPS = re.compile(r'"known_trip_count":\{"n":"(\d+)"\}')
_CALLED = re.compile(r"\b(body|calls|to_apply|branch_computations)=(\{[^}]*\}|%[\w.-]+)")
_NAME = re.compile(r"%([\w.-]+)")
_CONDITION = re.compile(r"\bcondition=%([\w.-]+)")
_LITERAL = re.compile(r"(\d+)\)")
_LISTED = re.compile(r"replica_groups=\{\{([\d,]*)\}")
_IOTA = re.compile(r"replica_groups=\[\d+,(\d+)\]<=")
_MESH = re.compile(r"replica_groups=mesh\[([^\]]*)\][^{]*\{([^}]*)\}")
_AXIS = re.compile(r"'([^']+)'(?:=(\d+))?")


@dataclasses.dataclass(frozen=True)
class Collective:
    """Collectives of one kind over groups of one size.

    Attributes:
        kind: Name of the operation, such as `all-reduce`.
        group: Number of devices that take part.
        count: Number of operations.
        bytes: Bytes of all operations on a device: the operands, for an all-gather the results.
    """

    kind: str
    group: int
    count: int
    bytes: int


class Traffic(NamedTuple):
    """What a program does on each device.

    Attributes:
        hbm_bytes: Bytes of operands and results in HBM, with padding. Where an operation moves
            slices of them only, the slices count.
        padding_waste: Bytes of all operands and results with padding, divided by those without.
        cycles: Sum of the compiler's estimates of cycles.
        collectives: Collectives, the kind with most bytes first.
    """

    hbm_bytes: int
    padding_waste: float
    cycles: int
    collectives: list[Collective]


def measure_traffic(module: Module, devices: int) -> Traffic:
    """Returns what a program does on each device.

    An operand that an operation, or a fusion, only reads slices of counts as these slices. An array
    that it updates in place counts as the update, read and written (see
    `dfjax.bench.hlo_slices.list_moved`). The allocation of a buffer moves nothing.

    Args:
        module: Compiled program.
        devices: Number of devices it runs on.
    """
    hbm = plain = padded = cycles = 0
    found: dict[tuple[str, int], list[int]] = defaultdict(lambda: [0, 0])
    for instruction, around, trips, fused in _walk(module, module.entry, 1, False):
        cycles += trips * count_cycles(instruction.rest)
        kind = instruction.opcode.removesuffix("-start")
        operands = [around[name] for name in instruction.operands if name in around]
        if kind in COLLECTIVES:
            group = find_group_size(instruction.rest, devices)
            size = sum(leaf.bytes for operand in operands for leaf in operand.types)
            total = found[kind, group]
            total[0] += trips
            total[1] += trips * size * (group if kind == "all-gather" else 1)
        if fused or instruction.opcode in FREE or instruction.opcode.endswith("-done"):
            continue
        if _ALLOCATION in instruction.rest:
            continue
        moved = list_moved(module, instruction, around)
        hbm += trips * sum(leaf.padded_bytes for leaf in moved if leaf.space == 0)
        plain += trips * sum(leaf.bytes for leaf in moved)
        padded += trips * sum(leaf.padded_bytes for leaf in moved)
    collectives = [Collective(*key, *total) for key, total in found.items()]
    collectives.sort(key=lambda one: -one.bytes)
    return Traffic(hbm, padded / plain if plain else 1.0, cycles, collectives)


def _walk(
    module: Module, name: str, trips: int, fused: bool
) -> Iterator[tuple[Instruction, Mapping[str, Instruction], int, bool]]:
    """Yields instructions, those of their computation, how often they run, and if in a fusion."""
    around = module.computations.get(name, {})
    for instruction in around.values():
        yield instruction, around, trips, fused
        if instruction.opcode.removesuffix("-start") in COLLECTIVES:
            continue  # `to_apply` is the sum of two scalars
        repeats = _count_trips(module, instruction) if instruction.opcode == "while" else 1
        for kind, called in _CALLED.findall(instruction.rest):
            if kind == "to_apply" and instruction.opcode != "call":
                continue
            inside = fused or instruction.opcode in ("fusion", "async-start")
            for inner in _NAME.findall(called):
                yield from _walk(module, inner, trips * repeats, inside)


def _count_trips(module: Module, loop: Instruction) -> int:
    """Returns how often a loop runs: as the compiler says, or the only constant of its condition.

    A loop that neither tells counts once.
    """
    if known := _TRIPS.search(loop.rest):
        return int(known[1])
    condition = _CONDITION.search(loop.rest)
    inside: Mapping[str, Instruction] = (
        module.computations.get(condition[1], {}) if condition else {}
    )
    bounds = {
        int(literal[1])
        for instruction in inside.values()
        if instruction.opcode == "constant" and (literal := _LITERAL.match(instruction.rest))
    }
    return bounds.pop() if len(bounds) == 1 else 1


def count_cycles(text: str) -> int:
    """Returns the sum of the compiler's estimates of cycles in the text of a program or a part.

    The body of a loop counts once. The sum ranks programs, but is no prediction of their time.
    """
    return sum(int(number) for number in _CYCLES.findall(text))


def find_group_size(attributes: str, devices: int) -> int:
    """Returns how many devices take part in a collective.

    Args:
        attributes: Attributes of the instruction.
        devices: Number of all devices, which take part where no groups are given.
    """
    if listed := _LISTED.search(attributes):
        return len(listed[1].split(","))
    if iota := _IOTA.search(attributes):
        return int(iota[1])
    if mesh := _MESH.search(attributes):
        sizes = {name: int(size) for name, size in _AXIS.findall(mesh[1])}
        size = 1
        for name, _ in _AXIS.findall(mesh[2]):
            size *= sizes.get(name, 1)
        return size
    return devices


def to_rows(collectives: list[Collective]) -> list[dict[str, Any]]:
    """Returns the collectives as objects for JSON."""
    return [dataclasses.asdict(one) for one in collectives]
