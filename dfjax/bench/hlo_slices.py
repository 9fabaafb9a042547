"""Finds what an instruction of a compiled program moves: whole arrays, or slices of them.

A loop of `jax.lax.scan` reads its inputs from stacked arrays and writes its results to such ones.
Each iteration moves one slice of a stack, mostly in a fusion. XLA's cost analysis counts slices by
the same rules (`HloCostAnalysis` in xla/service/hlo_cost_analysis.cc).
"""

import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from dfjax.bench.hlo_text import ArrayType, Instruction, Module

_SLICES = ("dynamic-slice", "slice")
_UPDATE = "dynamic-update-slice"
_CALLS = re.compile(r"\bcalls=%([\w.-]+)")
_NUMBER = re.compile(r"(\d+)\)")


class _Updates(NamedTuple):
    """Updates in place of a parameter of a fusion.

    Attributes:
        result: Index of the result that is the updated parameter.
        parts: Types of the updates.
        values: Names of the values that are the parameter after an update.
    """

    result: int
    parts: list[ArrayType]
    values: list[str]


def list_moved(
    module: Module, instruction: Instruction, around: Mapping[str, Instruction]
) -> list[ArrayType]:
    """Returns the types of what an instruction reads and writes.

    These are its operands and results, but slices of them where it moves no more:

    - A `slice` or `dynamic-slice` reads the bytes of its result.
    - A `dynamic-update-slice` reads the update and writes as much, in place.
    - Of an operand that a fusion only slices, in bitcasts and fusions inside it too, it reads the
      slices; all of the operand if they are larger together.
    - An operand that a fusion updates and returns, and else only slices, is updated in place.

    Args:
        module: The program.
        instruction: Instruction of one of its computations.
        around: Instructions of this computation by name.
    """
    operands: list[Sequence[ArrayType]] = [
        around[name].types if name in around else () for name in instruction.operands
    ]
    results: list[Sequence[ArrayType]] = [
        (leaf,) for leaf in _list_results(instruction, sum(map(len, operands)))
    ]
    kind = instruction.opcode.removesuffix("-start")
    if kind in _SLICES:
        operands[0] = _limit(operands[0], results[0])
    elif kind == _UPDATE:
        results[0] = _limit(results[0], operands[1])
        operands[0] = ()
    elif kind in ("fusion", "async"):
        inside = _find_called(module, instruction)
        updates = _find_updates(inside)
        values = {name for one in updates.values() for name in one.values}
        for position, name in _find_parameters(inside).items():
            parts = _find_parts(module, inside, name, values)
            if parts is None:
                continue
            operands[position] = _limit(operands[position], parts)
            if one := updates.get(name):
                results[one.result] = _limit(results[one.result], one.parts)
    return [leaf for types in (*operands, *results) for leaf in types]


def _list_results(instruction: Instruction, operands: int) -> Sequence[ArrayType]:
    """Returns the types of the results of an instruction with `operands` arrays as operands.

    An asynchronous one also returns a context and its operands: after the result if it is a copy,
    and otherwise before. A sum returns its results only.
    """
    types = instruction.types
    if instruction.opcode == "copy-start":
        return types[:1]
    if instruction.opcode.endswith("-start") and len(types) > operands:
        return types[operands:]
    return types


def _limit(whole: Sequence[ArrayType], parts: Sequence[ArrayType]) -> Sequence[ArrayType]:
    """Returns parts of an array, in the memory space of the array, or all of it if it is less."""
    if sum(part.padded_bytes for part in parts) >= sum(leaf.padded_bytes for leaf in whole):
        return whole
    return [part._replace(space=whole[0].space) for part in parts]


def _find_called(module: Module, caller: Instruction) -> Mapping[str, Instruction]:
    """Returns the instructions that a fusion or an asynchronous operation consists of."""
    called = _CALLS.search(caller.rest)
    return module.computations.get(called[1], {}) if called else {}


def _find_parameters(computation: Mapping[str, Instruction]) -> dict[int, str]:
    """Returns the names of the parameters of a computation by their position."""
    return {
        int(number[1]): one.name
        for one in computation.values()
        if one.opcode == "parameter" and (number := _NUMBER.match(one.rest))
    }


def _find_updates(computation: Mapping[str, Instruction]) -> dict[str, _Updates]:
    """Returns the updates in place by the name of the parameter that they update.

    A result is an updated parameter if it comes from it by `dynamic-update-slice` and `bitcast`
    only. A parameter is updated in place for one result.
    """
    found: dict[str, _Updates] = {}
    root = next((one for one in computation.values() if one.root), None)
    if root is None:
        return found
    for result, name in enumerate(root.operands if root.opcode == "tuple" else [root.name]):
        parts: list[ArrayType] = []
        path: list[str] = []
        updated = 0  # length of the path to the first update
        value = computation[name]
        while value.opcode in ("bitcast", _UPDATE):
            path.append(value.name)
            if value.opcode == _UPDATE:
                parts.extend(computation[value.operands[1]].types)
                updated = len(path)
            value = computation[value.operands[0]]
        if parts and value.opcode == "parameter" and value.name not in found:
            found[value.name] = _Updates(result, parts, path[:updated])
    return found


def _find_parts(
    module: Module, computation: Mapping[str, Instruction], name: str, updated: set[str]
) -> list[ArrayType] | None:
    """Returns the slices of a value that a fusion reads, or None if it reads all of the value.

    Args:
        module: The program.
        computation: Instructions of the fusion.
        name: Name of the value.
        updated: Names of the values that are made by updates in place.
    """
    if computation[name].root and name not in updated:
        return None
    found: list[ArrayType] = []
    for user in computation.values():
        if name not in user.operands:
            continue
        if user.opcode == "fusion":
            parts = _find_parts_in_fusion(module, user, name)
        elif user.opcode == "tuple" and name in updated:
            parts = []
        elif name in user.operands[1:]:
            return None  # not the array that is sliced or updated
        elif user.opcode == "bitcast" or user.name in updated:
            parts = _find_parts(module, computation, user.name, updated)
        elif user.opcode in _SLICES:
            parts = list(user.types)
        else:
            return None
        if parts is None:
            return None
        found.extend(parts)
    return found


def _find_parts_in_fusion(module: Module, fusion: Instruction, name: str) -> list[ArrayType] | None:
    """Returns the slices of an operand that a fusion in a fusion reads, or None for all of it."""
    inside = _find_called(module, fusion)
    parameters = _find_parameters(inside)
    found: list[ArrayType] = []
    for position, operand in enumerate(fusion.operands):
        if operand != name:
            continue
        inner = parameters.get(position)
        parts = _find_parts(module, inside, inner, set()) if inner else None
        if parts is None:
            return None
        found.extend(parts)
    return found
