"""Import paths of code outside the package, `my_package.detectors:MyDetector`.

A config may name a model, a backbone or a loss by its import path. Importing a module runs its
code, so naming and importing are two steps. `allow_import` imports a module; it is called for names
that the user wrote in a config file, an override or an argument. `find` only searches the modules
that are already imported, so that loading the `config.json` of a workdir runs no code.
"""

import difflib
import importlib
import importlib.util
import os
import re
import sys
import types
from pathlib import Path
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
        path: Name of a module, optionally followed by `:ClassName`.

    Raises:
        UsageError: The module, or a module that it imports, does not exist.
    """
    module, colon, name = path.partition(":")
    if not MODULE.fullmatch(module) or (colon and not name):
        raise UsageError(f"{path!r} is not an import path such as package.module:Name")
    if module in sys.modules:
        return
    folder = os.getcwd()
    if not {"", folder} & {*sys.path}:
        sys.path.append(folder)  # as `python -m dfjax` does, unlike the installed command
    try:
        importlib.import_module(module)
    except ImportError as error:
        raise UsageError(f"cannot import {path}: {error}") from error


def find_package(module: str) -> list[Path]:
    """Returns the folders of an installed package, which is not imported; none without it.

    Args:
        module: Name of the package's module.
    """
    spec = importlib.util.find_spec(module)
    return [Path(folder) for folder in (spec and spec.submodule_search_locations) or ()]


def find(path: str) -> Any:
    """Returns the object with an import path, from modules that are already imported.

    Raises:
        UsageError: The module is not imported or does not contain the object, or the object belongs
            to the standard library.
    """
    if path in _REGISTERED:
        return _REGISTERED[path]
    module, _, name = path.partition(":")
    if module not in sys.modules:
        raise UsageError(
            f"{path} is not imported. Import {module} first (verbs: option `import`): names in a "
            "saved config are not imported automatically"
        )
    found: Any = sys.modules[module]
    for part in name.split("."):
        members = getattr(found, "__dict__", {})  # unlike getattr, runs no code of the module
        if part not in members:
            raise UsageError(_absent(path, module, part, [*members]))
        found = members[part]
    if _is_foreign(found):
        raise UsageError(
            f"{path} is part of Python, not of a package of detectors: a saved config may name it "
            "to have it called"
        )
    return found


def _is_foreign(target: Any) -> bool:
    """Returns whether an object is a module, or a class or function of the standard library."""
    kinds = type | types.FunctionType | types.BuiltinFunctionType
    home = str(getattr(target, "__module__", "")).partition(".")[0]
    standard = sys.stdlib_module_names - {"__main__"}
    return isinstance(target, types.ModuleType) or (isinstance(target, kinds) and home in standard)


def register(target: Any) -> str:
    """Registers an object for `find` under its import path, and returns the path.

    This is for objects that are not attributes of a module, such as a class defined in a function,
    and for classes that are redefined in a notebook.

    Args:
        target: Class, function, or object, whose path is that of its class.
    """
    name = getattr(target, "__qualname__", type(target).__qualname__)
    path = f"{target.__module__}:{name}"
    _REGISTERED[path] = target
    return path


def _absent(path: str, module: str, part: str, members: list[str]) -> str:
    if module == "__main__":
        return f"{path} is not defined in this process: define it as in the script of the run"
    near = difflib.get_close_matches(part, members, n=1, cutoff=0.5)
    hint = f". Did you mean {near[0]!r}?" if near else ""
    return f"{path} does not exist: {module} has no {part!r}{hint}"
