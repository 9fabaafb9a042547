"""`LOSSES`: the losses by name. A loss is one function here and one line in the registry.

A loss is `loss(logits, outputs, batch) -> f32[B]`, one value per clip, never reduced: `outputs` is
what the model returned besides logits, `batch` holds `label`, `weight`, `mask` and what else came
with the clips. `LOSSES` maps a name to a factory, whose arguments are the options of the loss:
their defaults are those of the section `loss.NAME` of a config. An import path such as
`my_package.losses:make_my_loss` names a factory outside the package, or a loss itself.
"""

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
    """Returns the loss `name`: `loss(logits, outputs, batch) -> f32[B]`.

    Args:
        name: A key of `LOSSES`, or an import path.
        options: Arguments of its factory; what is left out has its default.

    Raises:
        UsageError: An unknown name or option, or an impossible value of an option.
    """
    known = default_options(name)
    for key in options:
        if key not in known:
            raise unknown(f"option of {name}", key, known)
    found = _find(name)
    return found if is_loss(found) else found(**options)


def default_options(name: str) -> dict[str, Any]:
    """Returns the options of the loss `name` with their defaults, from its factory's signature.

    Raises:
        UsageError: An unknown name, or a factory with an argument that has no plain default.
    """
    found = _find(name)
    if is_loss(found):
        return {}
    options = {}
    for key, parameter in inspect.signature(found).parameters.items():
        if not isinstance(parameter.default, bool | int | float | str | tuple):
            raise UsageError(
                f"{name}: the argument {key!r} needs a default that a config can record, a bool, a "
                "number, a text or a tuple of these; a loss itself takes (logits, outputs, batch)"
            )
        options[key] = parameter.default
    return options


def register_loss(loss: Loss) -> str:
    """Returns the import path of a loss, for `loss.name`; this process finds it there from now on.

    Args:
        loss: Function or callable object `loss(logits, outputs, batch) -> f32[B]`.

    Raises:
        UsageError: It cannot be called so.
    """
    if not is_loss(loss):
        raise UsageError(f"{loss!r} is no loss: it has to take (logits, outputs, batch)")
    return register(loss)


def is_loss(function: Callable[..., Any]) -> bool:
    """Returns whether a function takes (logits, outputs, batch); a factory does not."""
    if not callable(function):
        return False
    required = [p for p in inspect.signature(function).parameters.values() if p.default is p.empty]
    positional = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return [p.kind in positional for p in required] == [True] * 3


def _find(name: str) -> Callable[..., Any]:
    """The factory or loss that a name or an import path names."""
    if is_import_path(name):
        found = find(name)
        if not callable(found):
            raise UsageError(f"{name} is neither a loss nor a factory of losses")
        return found
    if name not in LOSSES:
        raise unknown("loss", name, LOSSES)
    return LOSSES[name]
