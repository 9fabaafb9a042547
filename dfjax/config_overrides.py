"""Sets keys of a config to other values, with checks of keys and types.

Overrides are a mapping, `{"train.epochs": 3}`, or texts as on the command line, `train.epochs=3`.
Texts, also in a mapping, are converted to the type of the key.
"""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Mapping, Sequence
from typing import Any

from absl import flags
from ml_collections import ConfigDict, config_dict, config_flags

from dfjax.errors import UsageError, unknown
from dfjax.files import as_tuple
from dfjax.import_paths import allow_import, is_import_path

Overrides = Mapping[str, Any] | Sequence[str]

NAMES_CODE = re.compile(r"loss\.name|model\.name|model\.(?!custom\.)\w+\.\w+")
"""Keys whose values may be import paths."""

ELSEWHERE = {
    "optimizer.lora": "LoRA is adapter.name=lora, with adapter.kernels, adapter.rank and "
    "adapter.alpha"
}
"""Sections that configs do not have, and where their settings are."""


def read_overrides(overrides: Overrides) -> dict[str, Any]:
    """Returns overrides as values by key; the last one of several values of a key is used.

    Raises:
        UsageError: A text is not of the form `section.key=value`.
    """
    if isinstance(overrides, Mapping):
        return {k: os.fspath(v) if isinstance(v, os.PathLike) else v for k, v in overrides.items()}
    values = {}
    for item in overrides:
        match = re.fullmatch(r"([A-Za-z_][\w.]*)=(.*)", item, flags=re.DOTALL)
        if not match:
            raise UsageError(f"{item!r} is not of the form section.key=value")
        values[match[1]] = match[2]
    return values


def apply_overrides(config: ConfigDict, values: Mapping[str, Any]) -> None:
    """Sets keys of `config` in place.

    If `model.name` or `loss.name` is set to an import path, the options of this class or factory
    are first set to their defaults.

    Raises:
        UsageError: A key is unknown (the message names the nearest one), or a value has the wrong
            type.
    """
    for part in ("model", "loss"):
        section = config[part]
        if values.get(f"{part}.name", section.name) != section.name:
            section.name, section.custom = values[f"{part}.name"], ConfigDict()
            _fill_section(config, part)
    for key in values:
        part = key.partition(".custom.")[0]
        if part in ("model", "loss") and part != key and not is_import_path(config[part].name):
            raise UsageError(
                f"{key} is an option of a {part} given by import path, but {part}.name is "
                f"{config[part].name!r}"
            )
        if key not in leaves(config):
            raise _no_key(config, key)
    values = {k: os.fspath(v) if isinstance(v, os.PathLike) else v for k, v in values.items()}
    texts = {key: value for key, value in values.items() if isinstance(value, str)}
    try:
        _parse_texts(config, texts)
        for key in values.keys() - texts.keys():
            _set(config, key, as_tuple(values[key]))
    except (AttributeError, KeyError, flags.Error, TypeError, ValueError) as error:
        what = str(error).replace("flag --config.", "").split("\n")[0]
        raise UsageError(f"config {config.name}: {what:.300}") from error


def _no_key(config: ConfigDict, key: str) -> UsageError:
    for section, place in ELSEWHERE.items():
        if f"{key}.".startswith(f"{section}."):
            return UsageError(f"config has no key {key!r}: {place}")
    (near,) = difflib.get_close_matches(key, leaves(config), n=1, cutoff=0.0)
    return UsageError(f"config has no key {key!r}. Did you mean {near!r}?")


def _parse_texts(config: ConfigDict, texts: Mapping[str, str]) -> None:
    defaults: dict[str, Any] = {}  # of `texts` only: absl writes all of them as YAML, slowly
    for key in texts:
        *sections, leaf = key.split(".")
        node, part = find_section(config, ".".join(sections)), defaults
        if node[leaf] is None:  # a required option of a custom model: its type is unknown
            node[leaf] = config_dict.placeholder(object)
        for name in sections:
            part = part.setdefault(name, {})
        part[leaf] = config_dict.placeholder(object) if node[leaf] is None else node[leaf]
    given = ConfigDict(defaults)
    arguments = [f"--config.{key}={_quote_words(key, text)}" for key, text in texts.items()]
    parsed = flags.FlagValues()
    config_flags.DEFINE_config_dict("config", given, flag_values=parsed, sys_argv=arguments)
    parsed(["dfjax", *arguments])
    for key in texts:
        section, _, leaf = key.rpartition(".")
        _set(config, key, find_section(given, section)[leaf])


def _set(config: ConfigDict, key: str, value: Any) -> None:
    section, _, leaf = key.rpartition(".")
    find_section(config, section)[leaf] = value


def _quote_words(key: str, text: str) -> str:
    """Returns the text with quoted words, so that `data.holdout_methods=warp,blend` is a tuple."""
    if key != "data.holdout_methods" or text.lstrip()[:1] in ("(", "[", "'", '"'):
        return text
    return repr(tuple(word.strip() for word in text.split(",") if word.strip()))


def import_named(values: Mapping[str, Any]) -> None:
    """Imports the models, backbones and losses that config values name by import path.

    Call it only for values that the user wrote, never for a saved config.

    Raises:
        UsageError: A module cannot be imported.
    """
    for key, value in values.items():
        if NAMES_CODE.fullmatch(key) and isinstance(value, str) and is_import_path(value):
            allow_import(value)


def fill_custom(config: ConfigDict) -> None:
    """Fills `model.custom` and `loss.custom` with the options of a model or loss by import path.

    Raises:
        UsageError: The class or factory is invalid, an option is unknown or has the wrong type, or
            there are options although the model or loss is part of the package.
    """
    for part in ("model", "loss"):
        _fill_section(config, part)


def _fill_section(config: ConfigDict, part: str) -> None:
    name, given = config[part].name, config[part].custom.to_dict()
    if not is_import_path(name):
        if given:
            raise UsageError(
                f"{part}.custom has the options of a {part} given by import path, but {part}.name "
                f"is {name!r}: set {part}.{name}"
            )
        return
    defaults = _model_defaults(name) if part == "model" else _loss_defaults(name)
    section = ConfigDict(defaults)
    for key, value in given.items():
        if key not in defaults:
            raise unknown(f"option of {name}", key, defaults)
        try:
            section[key] = as_tuple(value)
        except TypeError as error:
            raise UsageError(f"{part}.custom.{key}: {error}") from error
    config[part].custom = section.lock()


def _model_defaults(name: str) -> dict[str, Any]:
    from dfjax.models.options import REQUIRED, default_options
    from dfjax.models.registry import find_entry

    defaults = default_options(find_entry(name).module)
    return {key: None if value is REQUIRED else value for key, value in defaults.items()}


def _loss_defaults(name: str) -> dict[str, Any]:
    from dfjax.losses.registry import default_options

    return default_options(name)


def leaves(config: ConfigDict, prefix: str = "") -> dict[str, Any]:
    """Returns the values of a config by key, `section.key`."""
    found: dict[str, Any] = {}
    for key, value in config.items():
        if isinstance(value, ConfigDict):
            found |= leaves(value, f"{prefix}{key}.")
        else:
            found[prefix + key] = value
    return found


def find_section(config: ConfigDict, key: str) -> ConfigDict:
    """Returns the section of a config with the name `key`, or the config itself for ""."""
    for part in filter(None, key.split(".")):
        config = config[part]
    return config
