"""The hash of the code that computes the numbers of an evaluation."""

from __future__ import annotations

import ast
import functools
import hashlib
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
START = "dfjax.evaluation.report.reproduction"
"""Module that computes the numbers again; what it imports is what they depend on."""


@functools.cache
def hash_code() -> str:
    """Returns the hash of the source of `START` and of all modules of dfjax that it imports."""
    digest = hashlib.sha256()
    for name, path in sorted(find_modules(START).items()):
        digest.update(name.encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()


def find_modules(start: str) -> dict[str, Path]:
    """Returns the files of a module and of all that it imports, directly or not, by their names.

    Imports inside functions count. Packages of a module count too, but what `dfjax/__init__.py`
    offers to its callers does not.
    """
    found: dict[str, Path] = {}
    waiting = [start]
    while waiting:
        name = waiting.pop()
        path = _find_file(name)
        if path is None or name in found:
            continue
        found[name] = path
        waiting.append(name.rpartition(".")[0])
        if name != "dfjax":
            waiting += _list_imports(path)
    return found


def _find_file(name: str) -> Path | None:
    """Returns the file of a module of dfjax; None for another module, or a name in a module."""
    first, *parts = name.split(".")
    if first != "dfjax":
        return None
    place = ROOT.joinpath(*parts)
    files = (place / "__init__.py", place.with_suffix(".py"))
    return next((file for file in files if file.is_file()), None)


def _list_imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_bytes())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
