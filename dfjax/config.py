"""Configs: the schema with its defaults, loading, overriding and saving.

A config file only assigns existing keys: `get_config()` in `configs/NAME.py` starts from `base()`,
which is locked, so that a misspelt key raises an error there. The keys of `config.model.NAME` are
the options of the model NAME, which are the fields of its module; those of `config.loss.NAME` are
the arguments of the factory of the loss NAME; all others are in `dfjax.schema`. No function inside
`jit` reads a config; builders take plain values.
"""

from __future__ import annotations

import importlib.metadata
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import yaml
from absl import flags
from ml_collections import ConfigDict, config_flags
from ml_collections.config_dict import placeholder

from dfjax import schema
from dfjax.config_checks import show
from dfjax.config_migration import migrate
from dfjax.config_overrides import (
    Overrides,
    apply_overrides,
    fill_custom,
    import_named,
    leaves,
    read_overrides,
)
from dfjax.config_ranges import check_ranges, fill_section
from dfjax.errors import UsageError, unknown
from dfjax.import_paths import is_import_path

VARIANTS = ("smoke", "tiny")


def base() -> ConfigDict:
    """Returns a locked config with all keys and their defaults.

    Only `config.model.custom` and `config.loss.custom` are not locked: they contain the options of
    a model or loss outside the package. Loading checks them against the fields of its class or the
    arguments of its factory.
    """
    c = ConfigDict()
    c.name = ""
    c.seed = 0
    c.precision = "float32"  # float32 | bfloat16: dtype of activations
    c.lowering = "auto"  # auto | native | matmul: lowering of convolutions
    c.phases = ()  # of overrides, one tuple per phase after the first: see experiment/phases.py
    c.profile = ""  # START:STOP, steps to profile
    c.data = ConfigDict(schema.DATA)
    c.crops = ConfigDict(
        {k: placeholder(v) if isinstance(v, type) else v for k, v in schema.CROPS.items()}
    )
    c.preprocess = ConfigDict(schema.PREPROCESS)
    c.augment = ConfigDict(schema.AUGMENT)
    c.mix = ConfigDict(schema.MIX)
    c.model = _model_section()
    c.init = ConfigDict(schema.INIT)
    c.adapter = ConfigDict(schema.ADAPTER)
    c.loss = _loss_section()
    c.optimizer = ConfigDict(schema.OPTIMIZER)
    c.schedule = ConfigDict(schema.SCHEDULE)
    c.plateau = ConfigDict(schema.PLATEAU)
    c.train = ConfigDict(schema.TRAIN)
    c.eval = ConfigDict(schema.EVAL)
    c.early_stop = ConfigDict(
        {"metric": "video_auc", "mode": "max", "patience": 10, "min_epochs": 0}
    )
    c.checkpoint = ConfigDict({"every_steps": 200, "keep": 2})
    c.mesh = ConfigDict({"data": -1, "fsdp": 1, "tensor": 1})  # -1: the devices that are left
    c.writers = ConfigDict({"tensorboard": True, "mlflow": False})
    c.lock()
    c.model.custom.unlock()
    c.loss.custom.unlock()
    return c


def _model_section() -> ConfigDict:
    """Returns the names, a section with the options and defaults of every model, and `custom`."""
    from dfjax.models.registry import MODELS, full_options  # imports JAX

    sections = {name: full_options(name, {}) for name in MODELS}
    return ConfigDict({"name": "", "discriminator": "", **sections, "custom": {}})


def _loss_section() -> ConfigDict:
    """Returns the common keys, a section with the options of every loss, and `custom`."""
    from dfjax.losses.registry import LOSSES, default_options  # imports JAX

    sections = {name: default_options(name) for name in LOSSES} | schema.GENERATOR_LOSS
    return ConfigDict({**schema.LOSS, **sections, "custom": {}})


def model_options(config: ConfigDict) -> ConfigDict:
    """Returns the section with the options of the model of a config.

    Raises:
        UsageError: `model.name` is not a model.
    """
    name = config.model.name
    if is_import_path(name):
        return config.model.custom
    from dfjax.models.registry import find_entry

    find_entry(name)
    return config.model[name]


def loss_options(config: ConfigDict) -> ConfigDict:
    """Returns the section with the options of the main loss of a config.

    Raises:
        UsageError: `loss.name` is not a loss.
    """
    name = config.loss.name
    if is_import_path(name):
        return config.loss.custom
    from dfjax.losses.registry import default_options

    default_options(name)
    return config.loss[name]


def find_config(name: str) -> Path:
    """Returns the file of a config, given by its path or name.

    Names are those of the files in the folder `configs/` of the checkout or the installed package.

    Raises:
        UsageError: The file or name does not exist; the message lists the names.
    """
    return _find_file("config", name, _config_files())


def find_table(name: str) -> Path:
    """Returns the file of an ablation table, given by its path or name.

    Raises:
        UsageError: The file or name does not exist; the message lists the names.
    """
    return _find_file("ablation table", name, _config_files("ablations"))


def find_protocol(name: str) -> Path:
    """Returns the file of an evaluation protocol, given by its path or name.

    Raises:
        UsageError: The file or name does not exist; the message lists the names.
    """
    return _find_file("protocol", name, _config_files("protocols"))


def _find_file(kind: str, name: str, files: Iterable[Path]) -> Path:
    named = {path.stem: path for path in files}
    path = Path(name)
    if path.suffix == ".py":
        if not path.is_file():
            raise UsageError(f"no {kind} file {name}; known names: {', '.join(named)}")
        return path
    if name not in named:
        raise unknown(kind, name, named)
    return named[name]


def config_names() -> list[str]:
    """Returns the names of all configs, sorted."""
    return sorted(p.stem for p in _config_files())


def _config_files(below: str = "") -> Iterator[Path]:
    """Yields the files in `configs/`, or in its folder `below`."""
    site = Path(__file__).resolve().parent.parent
    checkout = (site / "pyproject.toml").is_file()
    # `pip install --target` puts the files into the second folder, without recording them.
    folder = (site if checkout else site / "share" / "dfjax") / "configs" / below
    if folder.is_dir():
        yield from sorted(folder.glob("*.py"))
        return
    wanted = Path("share/dfjax/configs", below, "*.py")
    for file in importlib.metadata.files("dfjax") or ():
        if file.match(str(wanted)):
            yield Path(str(file.locate())).resolve()


def load_config(spec: str, overrides: Overrides = ()) -> ConfigDict:
    """Returns the resolved, locked config of `FILE.py[:variant,…]` or `NAME[:variant,…]`.

    Args:
        spec: Name or file of the config, and its variants (`smoke`, `tiny`).
        overrides: Values by key, `{"train.epochs": 3}`, or texts, `["train.epochs=3"]`.

    Raises:
        UsageError: An unknown file, variant or key (the nearest valid one is named), a value of
            the wrong type or out of its range, or an import path that names nothing.
    """
    name, _, variants = spec.partition(":")
    path = find_config(name)
    for variant in filter(None, variants.split(",")):
        if variant not in VARIANTS:
            raise unknown("variant", variant, VARIANTS)
    values = read_overrides(overrides)
    try:
        config = _read_file(path, variants)
    except (AttributeError, KeyError, flags.Error, TypeError, ValueError) as error:
        raise UsageError(f"config {spec}: {error}") from error
    import_named(leaves(config) | values)
    fill_custom(config)
    apply_overrides(config, values)
    check_ranges(config)
    for items in config.phases:
        import_named(read_overrides(items))
    return config.lock()


def _read_file(path: Path, variants: str) -> ConfigDict:
    argument = f"--config={path}:{variants}"
    values = flags.FlagValues()
    config_flags.DEFINE_config_file(
        "config", lock_config=True, flag_values=values, sys_argv=[argument]
    )
    values(["dfjax", argument])
    return values.config


def override(config: ConfigDict, overrides: Overrides) -> ConfigDict:
    """Returns a copy of `config`, locked, with some of its keys set to other values.

    Args:
        config: Config, which stays as it is.
        overrides: Values by key, `{"train.epochs": 3}`, or texts, `["train.epochs=3"]`.

    Raises:
        UsageError: An unknown key (the nearest valid one is named) or a value of the wrong type.
    """
    copy = config.copy_and_resolve_references()
    apply_overrides(copy, read_overrides(overrides))
    return copy.lock()


def from_dict(values: Any, name: str = "config.json") -> ConfigDict:
    """Returns the config saved as `config.json`, checked against today's schema.

    What was renamed since it was saved has today's name (`config_migration`). The options of a
    model or loss given by import path stay as they were saved, and it need not be imported: what is
    saved is data.

    Args:
        values: Content of the file.
        name: Name of the file, for messages.

    Raises:
        UsageError: The file has a key that the schema does not have, or a value that the key cannot
            have.
    """
    config = base()
    try:
        if not isinstance(values, dict):
            raise UsageError(f"it is {show(values)}, not an object")
        fill_section(config, migrate(values))
    except UsageError as error:
        raise UsageError(f"{name} cannot be used: {error}") from error
    return config.lock()


def to_json(config: ConfigDict) -> str:
    """Returns the config as JSON text; `from_dict(json.loads(text))` gives it back."""
    return json.dumps(config.to_dict(), indent=2, default=list)


def to_yaml(config: ConfigDict) -> str:
    """Returns the config as YAML text, for reading."""
    return yaml.safe_dump(json.loads(to_json(config)), sort_keys=False)


def differences(old: ConfigDict, new: ConfigDict) -> list[str]:
    """Returns one line `key: old -> new` per leaf in which two configs differ."""
    a, b = leaves(old), leaves(new)
    return [
        f"{key}: {a.get(key)!r} -> {b.get(key)!r}"
        for key in sorted(a.keys() | b.keys())
        if a.get(key) != b.get(key)
    ]
