"""The options of a model are the fields of its module, declared there and nowhere else."""

import dataclasses
from typing import Any

from flax import linen as nn

from dfjax.files import as_tuple
from dfjax.models.layers import Compute

FRAMEWORK_FIELDS = ("parent", "name", "compute", "dtype", "lowering")
"""Fields that are no options: Linen's own, and those that `config.precision` and `config.lowering`
set."""


class Required:
    """The type of `REQUIRED`."""

    def __repr__(self) -> str:
        return "REQUIRED"


REQUIRED = Required()
"""Stands for the value of an option that has no default."""


def default_options(module: type[nn.Module]) -> dict[str, Any]:
    """Returns the options of a Linen class with their defaults, in the order of their declaration.

    An option is a field whose default is a plain value: None, a bool, a number, a text or a tuple
    of these. A field without a default is one too, and `REQUIRED` stands for its value. Any other
    field, such as a function, keeps its default.
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
    """Returns a Linen module with these fields, and with dtype and lowering where it has a field.

    Args:
        module: Linen class.
        fields: Values of its fields.
        compute: Dtype and lowering, for fields called `compute`, `dtype` or `lowering`.
    """
    settings = {"compute": compute, "dtype": compute.dtype, "lowering": compute.lowering}
    names = {field.name for field in dataclasses.fields(module)}
    return module(**fields, **{key: settings[key] for key in settings.keys() & names})


def is_plain(value: Any) -> bool:
    """Returns whether a value can be written to a config: see `default_options`."""
    if isinstance(value, list | tuple):
        return all(map(is_plain, value))
    return value is None or type(value) in (bool, int, float, str)
