"""`LOSSES`: the losses by name.

A loss is a function `loss(logits, outputs, batch) -> f32[B]` that returns one value per clip.
`outputs` are the outputs of the model besides the logits; `batch` contains `label`, `weight`,
`mask` and other entries of the clips. `LOSSES` maps a name to a factory. The arguments of a factory
are the options of the loss, with the defaults of the section `loss.NAME` of a config. An import
path such as `my_package.losses:make_my_loss` names a factory, or a loss, outside the package.
"""

import dataclasses
import inspect
from collections.abc import Callable
from typing import Any

from dfjax.errors import UsageError, unknown
from dfjax.import_paths import find, is_import_path, register
from dfjax.losses.classification import make_bce, make_cross_entropy, make_focal
from dfjax.losses.contrastive import make_supcon
from dfjax.shapes import Loss

LOSSES: dict[str, Callable[..., Loss]] = {
    "bce": make_bce,
    "cross_entropy": make_cross_entropy,
    "focal": make_focal,
    "supcon": make_supcon,
}


def make_loss(name: str, **options: Any) -> Loss:
    """Returns the loss `name`, a function `loss(logits, outputs, batch) -> f32[B]`.

    Args:
        name: Key of `LOSSES`, or an import path.
        options: Options of the loss; missing ones have their defaults.

    Raises:
        UsageError: The name or an option is unknown, or the value of an option is invalid.
    """
    known = default_options(name)
    for key in options:
        if key not in known:
            raise unknown(f"option of {name}", key, known)
    found = _find(name)
    return found if is_loss(found) else found(**options)


def default_options(name: str) -> dict[str, Any]:
    """Returns the options of the loss `name` with their defaults, by the signature of its factory.

    Raises:
        UsageError: The name is unknown, or an argument of the factory has no plain default.
    """
    found = _find(name)
    if is_loss(found):
        return {}
    options = {}
    for key, parameter in inspect.signature(found).parameters.items():
        if not isinstance(parameter.default, bool | int | float | str | tuple):
            raise UsageError(
                f"{name}: the argument {key!r} needs a default that a config can store, a bool, a "
                "number, a text or a tuple of these; a loss itself takes (logits, outputs, batch)"
            )
        options[key] = parameter.default
    return options


def register_loss(loss: Loss) -> tuple[str, dict[str, Any]]:
    """Returns what a config records of a loss: its import path, and its options.

    This process finds the loss, or the class of a loss object, under that path from now on.

    Args:
        loss: `loss(logits, outputs, batch) -> f32[B]`: a function, or an object of a dataclass,
            whose fields are the options.

    Raises:
        UsageError: It cannot be called so, or a config could not tell it from another loss.
    """
    if not is_loss(loss):
        raise UsageError(f"{loss!r} is not a loss: it has to take (logits, outputs, batch)")
    if getattr(loss, "__name__", "") == "<lambda>":
        raise UsageError("a lambda has no name that a config could record: define a function")
    if hasattr(loss, "__qualname__"):
        return register(loss), {}
    if not dataclasses.is_dataclass(loss):
        raise UsageError(
            f"{type(loss).__name__} is no dataclass: a config records a loss object by its fields"
        )
    fields = dataclasses.fields(loss)
    return register(type(loss)), {field.name: getattr(loss, field.name) for field in fields}


def is_loss(function: Callable[..., Any]) -> bool:
    """Returns whether a function has three required positional arguments, unlike a factory."""
    if not callable(function):
        return False
    required = [p for p in inspect.signature(function).parameters.values() if p.default is p.empty]
    positional = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return [p.kind in positional for p in required] == [True] * 3


def _find(name: str) -> Callable[..., Any]:
    """Returns the factory or loss with a name or an import path."""
    if is_import_path(name):
        found = find(name)
        if not callable(found):
            raise UsageError(f"{name} is neither a loss nor a factory of losses")
        return found
    if name not in LOSSES:
        raise unknown("loss", name, LOSSES)
    return LOSSES[name]
