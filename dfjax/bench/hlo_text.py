"""Parses the text of a compiled XLA program: its computations, instructions and array types.

Only what the figures of a plan need is read: names, types with layouts, operation codes, operands
and the raw text of the attributes. The syntax is that of `Compiled.as_text()`.
"""

import math
import re
from collections.abc import Iterator
from typing import NamedTuple

VMEM = 1
"""Memory space of the on-chip memory of a TPU; HBM is 0."""

_BITS = {"pred": 8, "c64": 64, "c128": 128}
_WIDTH = re.compile(r"[a-z]+(\d+)")
_ARRAY = re.compile(r"(?P<dtype>[a-z]\w*)\[(?P<dims>[^\]]*)\](?:\{(?P<layout>[^{}]*)\})?")
_TILE = re.compile(r"\(([\d,]+)\)")
_SPACE = re.compile(r"S\((\d+)\)")
_COMMENT = re.compile(r"/\*.*?\*/")
_COMPUTATION = re.compile(r"(?P<entry>ENTRY )?%?(?P<name>[\w.-]+) \(.*\{$")
_INSTRUCTION = re.compile(r"\s+(?P<root>ROOT )?%?(?P<name>[\w.-]+) = ")
_OPCODE = re.compile(r"(?P<opcode>[a-z][\w-]*)\(")
_OPERAND = re.compile(r"%([\w.-]+)")


class ArrayType(NamedTuple):
    """Type and layout of an array.

    Attributes:
        dtype: Name of the element type, such as `bf16`.
        dims: Sizes of the dimensions.
        bytes: Size of the elements.
        padded_bytes: Size in memory, with the padding of the layout's tiles.
        space: Memory space: 0 is HBM, `VMEM` the on-chip memory.
    """

    dtype: str
    dims: tuple[int, ...]
    bytes: int
    padded_bytes: int
    space: int


class Instruction(NamedTuple):
    """An instruction.

    Attributes:
        name: Name of the instruction, unique in its computation.
        types: Types of the result; several for a tuple, whose nesting is dropped.
        opcode: Operation code, such as `fusion`.
        operands: Names of the operands.
        rest: Text of the operands and the attributes, from behind the opening parenthesis.
        root: If it makes the result of its computation.
    """

    name: str
    types: tuple[ArrayType, ...]
    opcode: str
    operands: tuple[str, ...]
    rest: str
    root: bool


class Module(NamedTuple):
    """A compiled program.

    Attributes:
        entry: Name of the computation that runs first.
        computations: Instructions by name, by the name of their computation.
    """

    entry: str
    computations: dict[str, dict[str, Instruction]]


def parse_module(text: str) -> Module:
    """Returns the computations of a compiled program.

    Args:
        text: Text of the program.

    Raises:
        ValueError: The text has no entry computation.
    """
    entry = ""
    computations: dict[str, dict[str, Instruction]] = {}
    current: dict[str, Instruction] | None = None
    for line in text.splitlines():
        if line.startswith(" "):
            if current is not None and (instruction := parse_instruction(line)):
                current[instruction.name] = instruction
        elif match := _COMPUTATION.match(line):
            current = computations.setdefault(match["name"], {})
            entry = match["name"] if match["entry"] else entry
        else:
            current = None
    if not entry:
        raise ValueError("the text of the program has no entry computation")
    return Module(entry, computations)


def parse_instruction(line: str) -> Instruction | None:
    """Returns the instruction of a line, or None if the line holds none."""
    match = _INSTRUCTION.match(line)
    if not match:
        return None
    line = _COMMENT.sub("", line)
    start = match.end()
    end = _end_of_group(line, start) if line[start] == "(" else line.index(" ", start)
    opcode = _OPCODE.match(line, end + 1)
    if not opcode:
        return None
    close = _end_of_group(line, opcode.end() - 1)
    return Instruction(
        name=match["name"],
        types=tuple(parse_types(line[start:end])),
        opcode=opcode["opcode"],
        operands=tuple(_OPERAND.findall(line[opcode.end() : close])),
        rest=line[opcode.end() :],
        root=match["root"] is not None,
    )


def _end_of_group(text: str, start: int) -> int:
    """Returns the position behind the parenthesis that closes the one at `start`."""
    depth = 0
    for position in range(start, len(text)):
        depth += {"(": 1, ")": -1}.get(text[position], 0)
        if depth == 0:
            return position + 1
    return len(text)


def parse_types(text: str) -> Iterator[ArrayType]:
    """Yields the array types of a type, which may be a tuple; tokens have no bytes."""
    for match in _ARRAY.finditer(text):
        dims = tuple(int(size.removeprefix("<=")) for size in match["dims"].split(",") if size)
        bits, layout = _count_bits(match["dtype"]), match["layout"] or ""
        order, _, tiling = layout.partition(":")
        space = _SPACE.search(tiling)
        yield ArrayType(
            dtype=match["dtype"],
            dims=dims,
            bytes=math.prod(dims) * bits // 8,
            padded_bytes=math.prod(_pad(dims, order, tiling)) * bits // 8,
            space=int(space[1]) if space else 0,
        )


def _count_bits(dtype: str) -> int:
    if dtype in _BITS:
        return _BITS[dtype]
    width = _WIDTH.match(dtype)
    return int(width[1]) if width else 0  # token, opaque


def _pad(dims: tuple[int, ...], order: str, tiling: str) -> tuple[int, ...]:
    """Returns the sizes of the dimensions from major to minor, rounded up to the first tile."""
    minor_first = [int(axis) for axis in order.split(",") if axis]
    sizes = [dims[axis] for axis in reversed(minor_first)] if minor_first else list(dims)
    start = tiling.find("T(")
    tile = _TILE.match(tiling, start + 1) if start >= 0 else None
    if not tile:
        return tuple(sizes)
    sides = [int(side) for side in tile[1].split(",")]
    sizes = [1] * (len(sides) - len(sizes)) + sizes
    inner = [-(-size // side) * side for size, side in zip(sizes[-len(sides) :], sides)]
    return (*sizes[: -len(sides)], *inner)
