"""Models from outside the package, named by import path: `my_package.detectors:MyDetector`.

A model is a Linen class with

    def __call__(self, inputs, *, train):
        clip, mask = inputs["rgb"], inputs["mask"]  # f32[B, T, S, S, 3], bool[B, T]
        ...
        return logits  # f32[B], positive: fake; or (logits, outputs), named arrays

Its fields are its options, `config.model.custom` in a config. Frames outside the mask may hold
anything and must not affect the result. The model may have the collections `params` and
`batch_stats`; the random stream of dropout is `dropout`. Fields called `compute`, `dtype` or
`lowering` are set to the precision and lowering of the config.

Static methods and attributes of the class may replace these defaults:

    sharding_rules = ()                            # rules for a mesh that splits parameters, e.g.
                                                   # (("kernel$", PartitionSpec("fsdp", "tensor")),)
    input_streams(options, size) -> {"rgb": size}  # side of every image stream, in pixels
    input_extras(options) -> ()                    # "flow"; "features" in place of frames
    find_backbones(options) -> {}                  # `entry.BackbonePart`s by stream, for `init.*`
    check_options(options)                         # raises dfjax.errors.UsageError
    diagram_layout(options, summary) -> blocks     # see `layouts`
"""

import dataclasses
from typing import Any

from flax import linen as nn

from dfjax.errors import UsageError
from dfjax.files import as_tuple
from dfjax.import_paths import find
from dfjax.models.entry import Entry
from dfjax.models.layouts import lay_out_parts
from dfjax.models.options import FRAMEWORK_FIELDS, default_options, is_plain

HOOKS = {
    "diagram_layout": "layout",
    "input_streams": "streams",
    "input_extras": "extras",
    "check_options": "check",
    "find_backbones": "backbones",
    "sharding_rules": "sharding",
}
"""Names of attributes of a class, with the fields of `Entry` that they set."""

MODEL_CONTRACT = (
    "a model is one whose __call__(self, inputs, *, train) returns logits, or logits and a dict "
    "of outputs"
)


def make_entry(path: str) -> Entry:
    """Returns the entry of the Linen class with the import path `path`.

    Raises:
        UsageError: The module of the class is not imported, or the object is not a Linen class.
    """
    module = find_module(path, MODEL_CONTRACT)
    fields = {field.name for field in dataclasses.fields(module)}
    given = {
        field: getattr(module, hook)
        for hook, field in HOOKS.items()
        if hook not in fields and hasattr(module, hook)
    }
    return Entry(module, **({"layout": lay_out_parts} | given))


def find_module(path: str, contract: str) -> type[nn.Module]:
    """Returns the Linen class with the import path `path`.

    Args:
        path: Import path.
        contract: Description of what the class must be, for the message.

    Raises:
        UsageError: The module of the class is not imported, or the object is not a Linen class.
    """
    module = find(path)
    if not (isinstance(module, type) and issubclass(module, nn.Module)):
        raise UsageError(f"{path} is not a subclass of flax.linen.Module; {contract}")
    return module


def read_options(module: nn.Module) -> dict[str, Any]:
    """Returns the options of a module object, for a config.

    Raises:
        UsageError: A field has a value that a config cannot store, which is anything but None,
            bools, numbers, texts and tuples of these.
    """
    defaults = default_options(type(module))
    options = {}
    for field in dataclasses.fields(type(module)):
        if field.name in FRAMEWORK_FIELDS or not field.init:
            continue
        value = as_tuple(getattr(module, field.name))
        if field.name in defaults and is_plain(value):
            options[field.name] = value
        elif value is not field.default:
            raise UsageError(
                f"{type(module).__name__}.{field.name} is {value!r}, which a config cannot store: "
                "make it the default of the class, or use a plain value"
            )
    return options
