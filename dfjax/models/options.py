"""The options of a model, which are the fields of its Linen module."""

import dataclasses
from typing import Any

from flax import linen as nn

from dfjax.files import as_tuple
from dfjax.models.layers import Compute

FRAMEWORK_FIELDS = ("parent", "name", "compute", "dtype", "lowering")
"""Fields that are not options: those of Linen, and those set from `config.precision` and
`config.lowering`."""


class Required:
    """The type of `REQUIRED`."""

    def __repr__(self) -> str:
        return "REQUIRED"


REQUIRED = Required()
"""Placeholder for the value of an option without a default."""


def default_options(module: type[nn.Module]) -> dict[str, Any]:
    """Returns the options of a Linen class with their defaults, in the order of their declaration.

    An option is a field without a default (its value here is `REQUIRED`) or with a plain default:
    None, a bool, a number, a text or a tuple of these. Other fields, such as functions, are not
    options and keep their defaults.
    """
    options = {}
    for field in dataclasses.fields(module):
        if field.name in FRAMEWORK_FIELDS or not field.init:
            continue
        value = field.default
        if field.default_factory is not dataclasses.MISSING:
            value = field.default_factory()
        if value is dataclasses.MISSING:
            options[field.name] = REQUIRED
        elif is_plain(value):
            options[field.name] = as_tuple(value)
    return options


def instantiate(module: type[nn.Module], fields: dict[str, Any], compute: Compute) -> nn.Module:
    """Returns a Linen module with the given values of its fields.

    Args:
        module: Linen class.
        fields: Values of fields.
        compute: Dtype and lowering, for fields called `compute`, `dtype` or `lowering`.
    """
    settings = {"compute": compute, "dtype": compute.dtype, "lowering": compute.lowering}
    names = {field.name for field in dataclasses.fields(module)}
    return module(**fields, **{key: settings[key] for key in settings.keys() & names})


def is_plain(value: Any) -> bool:
    """Returns whether a value can be an option: None, a bool, a number, a text, or a tuple."""
    if isinstance(value, list | tuple):
        return all(map(is_plain, value))
    return value is None or type(value) in (bool, int, float, str)
