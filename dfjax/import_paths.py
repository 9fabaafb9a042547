"""The user's own code by import path, `my_package.detectors:MyDetector`.

A config may name a model, a backbone or a loss in this way. Importing a module runs its code, so
naming and importing are two steps. `allow_import` imports; it is called for what the user wrote: a
config file, an override, an argument. `find` only looks among the modules that are imported
already, so that the `config.json` of a workdir, which is data, runs nothing.
"""

import difflib
import importlib
import os
import re
import sys
from typing import Any

from dfjax.errors import UsageError

MODULE = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*")

_REGISTERED: dict[str, Any] = {}


def is_import_path(name: str) -> bool:
    """Returns whether `name` is an import path, which has a colon, and not the name of an entry."""
    return ":" in name


def allow_import(path: str) -> None:
    """Imports the module of an import path; the current folder is searched last.

    Args:
        path: Name of a module, with or without `:ClassName` behind it.

    Raises:
        UsageError: There is no such module, or a module that it imports is missing.
    """
    module, colon, name = path.partition(":")
    if not MODULE.fullmatch(module) or (colon and not name):
        raise UsageError(f"{path!r} is no import path: it looks like package.module:Name")
    if module in sys.modules:
        return
    folder = os.getcwd()
    if not {"", folder} & {*sys.path}:
        sys.path.append(folder)  # `python -m dfjax` has it, the installed command does not
    try:
        importlib.import_module(module)
    except ImportError as error:
        raise UsageError(f"cannot import {path}: {error}") from error


def find(path: str) -> Any:
    """Returns the object that `path` names, from modules that are already imported.

    Raises:
        UsageError: Its module is not imported, or has no such object.
    """
    if path in _REGISTERED:
        return _REGISTERED[path]
    module, _, name = path.partition(":")
    if module not in sys.modules:
        raise UsageError(
            f"{path} is not imported. Import {module} first: a saved config is data, and nothing "
            "that it names is imported on its own"
        )
    found: Any = sys.modules[module]
    for part in name.split("."):
        members = getattr(found, "__dict__", {})  # unlike getattr, runs no code of the module
        if part not in members:
            raise UsageError(_absent(path, module, part, [*members]))
        found = members[part]
    return found


def register(target: Any) -> str:
    """Returns the import path of a class or function, under which `find` gives it from now on.

    This serves what no module holds under its name, such as a class defined in a function, and
    the latest definition of a notebook's class.
    """
    name = getattr(target, "__qualname__", type(target).__qualname__)  # an object's: its class's
    path = f"{target.__module__}:{name}"
    _REGISTERED[path] = target
    return path


def _absent(path: str, module: str, part: str, members: list[str]) -> str:
    if module == "__main__":
        return f"{path} is not defined in this process: define it as the run's notebook or script"
    near = difflib.get_close_matches(part, members, n=1, cutoff=0.5)
    hint = f". Did you mean {near[0]!r}?" if near else ""
    return f"{module} has no {part!r}, which {path} names{hint}"
