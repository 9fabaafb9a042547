"""Configs: the whole schema with its defaults (`dfjax.schema`), loading, overrides, saving.

A config file only assigns existing keys: `get_config()` in `configs/NAME.py` starts from `base()`,
which is locked, so a misspelt key raises where it is written. Nothing inside `jit` reads a config:
builders take plain values.
"""

from __future__ import annotations

import difflib
import importlib.metadata
import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import yaml
from absl import flags
from ml_collections import ConfigDict, config_flags

from dfjax.config_migration import migrate
from dfjax.errors import UsageError, unknown
from dfjax.schema import (
    AUGMENT,
    DATA,
    LOSS,
    MIX,
    MODEL,
    OPTIMIZER,
    PLATEAU,
    PREPROCESS,
    SCHEDULE,
    TRAIN,
)

VARIANTS = ("smoke", "tiny")


def base() -> ConfigDict:
    """Returns the complete schema with its defaults, locked."""
    c = ConfigDict()
    c.name = ""
    c.seed = 0
    c.precision = "float32"  # float32 | bfloat16: dtype of activations
    c.lowering = "auto"  # auto | native | matmul: how convolutions reach the hardware
    c.phases = ()  # of overrides, one tuple per phase after the first: see commands/phases.py
    c.profile = ""  # START:STOP, steps to trace for a profiler
    c.data = ConfigDict(DATA)
    c.preprocess = ConfigDict(PREPROCESS)
    c.augment = ConfigDict(AUGMENT)
    c.mix = ConfigDict(MIX)
    c.model = ConfigDict(MODEL)
    c.loss = ConfigDict(LOSS)
    c.optimizer = ConfigDict(OPTIMIZER)
    c.schedule = ConfigDict(SCHEDULE)
    c.plateau = ConfigDict(PLATEAU)
    c.train = ConfigDict(TRAIN)
    c.eval = ConfigDict({"batch_size": 16})
    c.early_stop = ConfigDict(
        {"metric": "video_auc", "mode": "max", "patience": 10, "min_epochs": 0}
    )
    c.checkpoint = ConfigDict({"every_steps": 200, "keep": 2})
    c.mesh = ConfigDict({"data": -1, "fsdp": 1, "tensor": 1})  # -1: the devices that are left
    c.writers = ConfigDict({"tensorboard": True})
    return c.lock()


def find_config(name: str) -> Path:
    """Returns the file of a config given as a path or as a bare name.

    Names are looked up in the checkout's `configs/` and, for an installed wheel, among the files
    that the wheel brought.

    Raises:
        UsageError: there is no such file or name; the message lists the names.
    """
    path = Path(name)
    if path.suffix == ".py":
        if not path.is_file():
            raise UsageError(f"no config file {name}; known names: {', '.join(config_names())}")
        return path
    files = {p.stem: p for p in _config_files()}
    if name not in files:
        raise unknown("config", name, files)
    return files[name]


def find_table(name: str) -> Path:
    """Returns the file of an ablation table given as a path or as a bare name.

    Raises:
        UsageError: there is no such file or name; the message lists the names.
    """
    files = {p.stem: p for p in _config_files("ablations")}
    path = Path(name)
    if path.suffix == ".py":
        if not path.is_file():
            raise UsageError(f"no table {name}; known names: {', '.join(files)}")
        return path
    if name not in files:
        raise unknown("ablation table", name, files)
    return files[name]


def config_names() -> list[str]:
    """Returns the names of all configs, sorted."""
    return sorted(p.stem for p in _config_files())


def _config_files(below: str = "") -> Iterator[Path]:
    """The files in `configs/`, or in the folder `below` it."""
    site = Path(__file__).resolve().parent.parent
    checkout = (site / "pyproject.toml").is_file()
    # The second is where `pip install --target` puts them, without saying so in its records.
    folder = (site if checkout else site / "share" / "dfjax") / "configs" / below
    if folder.is_dir():
        yield from sorted(folder.glob("*.py"))
        return
    wanted = Path("share/dfjax/configs", below, "*.py")
    for file in importlib.metadata.files("dfjax") or ():
        if file.match(str(wanted)):
            yield Path(str(file.locate())).resolve()


def load_config(spec: str, overrides: Sequence[str] = ()) -> ConfigDict:
    """Returns the resolved, locked config of `FILE.py[:variant,…]` or `NAME[:variant,…]`.

    Args:
        spec: where the config is, and its variants (`smoke`, `tiny`).
        overrides: `--config.a.b=value`, as on the command line.

    Raises:
        UsageError: unknown file, variant or key (the nearest valid one is named), or a value of
            the wrong type.
    """
    name, _, variants = spec.partition(":")
    path = find_config(name)
    for variant in filter(None, variants.split(",")):
        if variant not in VARIANTS:
            raise unknown("variant", variant, VARIANTS)
    argument = f"--config={path}:{variants}"
    for item in overrides:
        _check_override(item, _leaves(_parse([argument])))
    try:
        return _parse([argument, *_last_of_each(overrides)]).lock()
    except (AttributeError, KeyError, flags.Error, TypeError, ValueError) as error:
        raise UsageError(f"config {spec}: {error}") from error


def _parse(arguments: list[str]) -> ConfigDict:
    values = flags.FlagValues()
    config_flags.DEFINE_config_file(
        "config", lock_config=True, flag_values=values, sys_argv=arguments
    )
    values(["dfjax", *arguments])
    return values.config


def override(config: ConfigDict, items: Sequence[str]) -> ConfigDict:
    """Returns a copy of `config`, locked, with some of its keys set to other values.

    Args:
        config: stays as it is.
        items: `section.key=value`, what stands behind `--config.` on the command line.

    Raises:
        UsageError: an unknown key (the nearest valid one is named) or a value of the wrong type.
    """
    copy = config.copy_and_resolve_references()
    arguments = [f"--config.{item}" for item in items]
    for argument in arguments:
        _check_override(argument, _leaves(copy))
    arguments = _last_of_each(arguments)
    values = flags.FlagValues()
    config_flags.DEFINE_config_dict("config", copy, flag_values=values, sys_argv=arguments)
    try:
        values(["dfjax", *arguments])
    except (AttributeError, KeyError, flags.Error, TypeError, ValueError) as error:
        raise UsageError(f"config {config.name}: {error}") from error
    return copy.lock()


def _check_override(item: str, keys: dict[str, Any]) -> None:
    match = re.fullmatch(r"--config\.([\w.]+)=.*", item, flags=re.DOTALL)
    if not match:
        raise UsageError(f"{item!r} is not of the form --config.section.key=value")
    key = match[1]
    if key in keys:
        return
    near = difflib.get_close_matches(key, keys, n=1, cutoff=0.0)
    raise UsageError(f"config has no key {key!r}. Did you mean {near[0]!r}?")


def _last_of_each(items: Sequence[str]) -> list[str]:
    """The last override of every key; given twice, a tuple would become that of both."""
    return [*{item.partition("=")[0]: _quote_words(item) for item in items}.values()]


def _quote_words(item: str) -> str:
    """Words where a tuple is wanted need no quotes: `--config.data.holdout_methods=warp,blend`."""
    option, _, text = item.partition("=")
    if option != "--config.data.holdout_methods" or text.lstrip()[:1] in ("(", "[", "'", '"'):
        return item
    return f"{option}={tuple(word.strip() for word in text.split(',') if word.strip())!r}"


def _leaves(config: ConfigDict, prefix: str = "") -> dict[str, Any]:
    leaves: dict[str, Any] = {}
    for key, value in config.items():
        if isinstance(value, ConfigDict):
            leaves |= _leaves(value, f"{prefix}{key}.")
        else:
            leaves[prefix + key] = value
    return leaves


def from_dict(values: dict[str, Any]) -> ConfigDict:
    """Returns the config saved as `config.json`, checked against today's schema.

    What was renamed since it was saved has today's name (`config_migration`).

    Raises:
        UsageError: the file has a key that the schema does not have.
    """
    config = base()
    known = _leaves(config)
    for key, value in _leaves(ConfigDict(migrate(values))).items():
        if key not in known:
            raise UsageError(f"config.json has the key {key!r}, which this version does not know")
        section, _, leaf = key.rpartition(".")
        node = config
        for part in filter(None, section.split(".")):
            node = node[part]
        node[leaf] = _as_tuple(value) if isinstance(known[key], tuple) else value
    return config


def _as_tuple(value: Any) -> Any:
    """JSON has lists; the schema, like the command line, has tuples, also inside of tuples."""
    return tuple(map(_as_tuple, value)) if isinstance(value, list | tuple) else value


def to_json(config: ConfigDict) -> str:
    """Returns the config as JSON text; `from_dict(json.loads(text))` gives it back."""
    return json.dumps(config.to_dict(), indent=2, default=list)


def to_yaml(config: ConfigDict) -> str:
    """Returns the config as YAML text, for reading."""
    return yaml.safe_dump(json.loads(to_json(config)), sort_keys=False)


def differences(old: ConfigDict, new: ConfigDict) -> list[str]:
    """Returns one line `key: old -> new` per leaf in which two configs differ."""
    a, b = _leaves(old), _leaves(new)
    return [
        f"{key}: {a.get(key)!r} -> {b.get(key)!r}"
        for key in sorted(a.keys() | b.keys())
        if a.get(key) != b.get(key)
    ]
