"""The keys `init.*` of a config: a detector that starts from files of backbones.

`init.backbone=W.safetensors` is the file of the model's backbone. A model with several has a key
per stream, such as `init.hq` and `init.lq`. When a run starts, options of the model that are `auto`
take the convention of the file (padding, constants of batch normalisation), as do `preprocess.mean`
and `preprocess.std` where they have the defaults of the schema, and the config in the workdir has
the resulting values. A setting that contradicts the file is an error. Another size of the images is
none, and is said. The hashes of the files are recorded in the workdir.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from ml_collections import ConfigDict

from dfjax.config import model_options
from dfjax.console import say
from dfjax.errors import UsageError, unknown
from dfjax.experiment.backbone_files import TrainedSettings, read_backbone, read_settings
from dfjax.files import hash_file, write_json
from dfjax.json_files import read_mark
from dfjax.models.backbones import find_backbone
from dfjax.models.bn_constants import AUTO, parse_bn
from dfjax.models.entry import BackbonePart
from dfjax.models.registry import find_backbones, find_entry
from dfjax.schema import PREPROCESS
from dfjax.shapes import Variables
from dfjax.weights.merge import add_channels
from dfjax.weights.mismatch import check_keys
from dfjax.weights.safetensors_file import read_header
from dfjax.weights.target import flat_shapes

ALL = "backbone"
"""Key of `init` that is for every stream."""

RECORD = "initial_files.json"
"""Name of the file in a workdir with the paths and hashes of the files that a run started from."""

RECORD_SCHEMA = {str: {"path": str, "sha256": str, "source?": str, "licence?": str}}


class InitialFile(NamedTuple):
    """A file that a backbone of the model starts from.

    Attributes:
        key: Key of the config that names the file.
        part: Backbone.
        path: Safetensors file.
    """

    key: str
    part: BackbonePart
    path: Path


def find_files(config: ConfigDict) -> list[InitialFile]:
    """Returns the files that the keys `init.*` of a config name.

    Raises:
        UsageError: The model does not have such a backbone, backbones of different architectures
            have one file, or `train.init_from` is set too.
    """
    given = {key: path for key, path in config.init.items() if path}
    if not given:
        return []
    name = config.model.name
    if config.train.init_from:
        raise UsageError(
            f"train.init_from={config.train.init_from} contains the backbones already: set "
            f"init.{next(iter(given))} or train.init_from, not both"
        )
    parts = find_backbones(name, **model_options(config).to_dict())
    if not parts:
        raise UsageError(f"init.{next(iter(given))}: {name} has no backbone that reads frames")
    for key in given.keys() - {ALL, *parts}:
        raise unknown(f"key of init for {name}", key, [ALL, *parts])
    if ALL in given and len({part.name for part in parts.values()}) > 1:
        each = " and ".join(f"init.{stream} ({part.name})" for stream, part in parts.items())
        raise UsageError(f"init.{ALL} is one file, and {name} has different backbones: set {each}")
    files = []
    for stream, part in parts.items():
        key = stream if stream in given else ALL
        if key in given:
            files.append(InitialFile(f"init.{key}", part, Path(given[key])))
    return files


def use_conventions(config: ConfigDict) -> None:
    """Sets the options `auto` of a config and its default mean and std to those of its files.

    What the files say of the input images, and the config does not have, is printed.

    Args:
        config: Config, changed in place.

    Raises:
        UsageError: A file cannot be used, or contradicts a setting of the config.
    """
    options = model_options(config)
    found: list[tuple[InitialFile, TrainedSettings]] = []
    for file in find_files(config):
        convention = read_settings(file.path, file.part)
        if convention is None:
            continue
        if file.part.padding_key in options:
            _use_padding(options, file, convention)
            _use_bn(options, file, convention)
        found.append((file, convention))
    if found:
        _use_input(config.preprocess, found)
    find_entry(config.model.name).check(options.to_dict())


def _use_padding(options: ConfigDict, file: InitialFile, convention: TrainedSettings) -> None:
    part = file.part
    if part.padding != AUTO and convention.padding not in (AUTO, part.padding):
        raise _contradiction(file, part.padding_key, part.padding, convention.padding)
    if part.padding == AUTO:
        options[part.padding_key] = convention.padding


def _use_bn(options: ConfigDict, file: InitialFile, convention: TrainedSettings) -> None:
    part = file.part
    if not find_backbone(part.name).has_bn:
        return
    if AUTO not in (part.bn, convention.bn) and parse_bn(part.bn) != parse_bn(convention.bn):
        raise _contradiction(file, part.bn_key, part.bn, convention.bn)
    if part.bn == AUTO:
        options[part.bn_key] = convention.bn


def _contradiction(file: InitialFile, option: str, given: str, wanted: str) -> UsageError:
    return UsageError(
        f"the model's {option}={given} contradicts {file.key}={file.path}, whose parameters were "
        f"trained with {option}={wanted}: set {option} to auto or {wanted}"
    )


def _use_input(p: ConfigDict, found: Sequence[tuple[InitialFile, TrainedSettings]]) -> None:
    """Sets the default mean and std of the input to those of the files, and says what differs."""
    first, wanted = found[0]
    for file, other in found[1:]:
        if not _has_input(other, wanted.mean, wanted.std):
            raise UsageError(
                f"{first.key}={first.path} was trained with mean={wanted.mean} std={wanted.std}, "
                f"and {file.key}={file.path} with mean={other.mean} std={other.std}: all streams "
                "of a model have the same preprocess.mean and preprocess.std"
            )
    if not _has_input(wanted, p.mean, p.std):
        values = f"preprocess.mean={wanted.mean} preprocess.std={wanted.std}"
        if not _is_default(p):
            raise UsageError(
                f"preprocess.mean={tuple(p.mean)} and preprocess.std={tuple(p.std)} contradict "
                f"{first.key}={first.path}: set {values}"
            )
        p.update({"mean": wanted.mean, "std": wanted.std})
        say(f"{values}, with which {first.key}={first.path} was trained")
    for file, convention in found:
        if convention.size != p.size:
            say(
                f"{file.key}={file.path} was trained on images of {convention.size} px, and this "
                f"run has preprocess.size={p.size}"
            )


def _has_input(convention: TrainedSettings, mean: Sequence[float], std: Sequence[float]) -> bool:
    return np.allclose([*mean, *std], [*convention.mean, *convention.std], atol=1e-4)


def _is_default(p: ConfigDict) -> bool:
    return all(tuple(p[key]) == PREPROCESS[key] for key in ("mean", "std"))


def keep_conventions(config: ConfigDict, saved: ConfigDict) -> None:
    """Sets what `use_conventions` sets to the values that a run has, so that it resumes with them.

    Args:
        config: Config, changed in place.
        saved: Config in the workdir of the run.
    """
    if config.model.name != saved.model.name:
        return
    if any(config.init.values()) and _is_default(config.preprocess):
        config.preprocess.update({key: saved.preprocess[key] for key in ("mean", "std")})
    options, before = model_options(config), model_options(saved)
    for part in find_backbones(config.model.name, **options.to_dict()).values():
        for key in (part.padding_key, part.bn_key):
            if options.get(key) == AUTO and key in before:
                options[key] = before[key]


def load_backbones(files: Sequence[InitialFile], own: Mapping[str, Variables]) -> Variables:
    """Returns the variables of the backbones in the files, under the names of their parts.

    A backbone that reads further channels beside RGB gets zeros for what a file for RGB lacks.

    Args:
        files: Result of `find_files`.
        own: Variables of the model, as arrays or shapes.

    Raises:
        UsageError: A file cannot be read, or does not have exactly the parameters of its backbone.
    """
    loaded: dict[str, dict[str, Variables]] = {name: {} for name in own}
    for file in files:
        inside = {name: tree.get(file.part.part, {}) for name, tree in own.items()}
        found = read_backbone(file.path, file.part).variables
        found = add_channels(found, inside, file.part.channels)
        check_keys(
            flat_shapes(found),
            flat_shapes(inside),
            source=f"{file.key}={file.path}",
            network=f"the backbone {file.part.name}",
        )
        for name in own:
            loaded[name][file.part.part] = found[name]
    return loaded


def follow_files(
    files: Sequence[InitialFile], workdir: Path, say: Callable[[str], None], *, resumed: bool
) -> None:
    """Records the files that a new run starts from, or says which have changed since.

    Args:
        files: Result of `find_files`.
        workdir: Workdir of the run.
        say: Function that prints one line.
        resumed: Whether the run continues from a checkpoint.
    """
    if not files:
        return
    if not resumed:
        write_json(workdir / RECORD, {file.key: _describe(file.path) for file in files})
        return
    recorded = read_mark(workdir / RECORD, RECORD_SCHEMA) or {}
    for file in files:
        before = recorded.get(file.key, {}).get("sha256")
        if before and file.path.is_file() and (now := hash_file(file.path)) != before:
            say(
                f"warning: {file.key}={file.path} has changed since the run started from it (its "
                f"SHA-256 was {before} and is {now}); the run continues from its checkpoint"
            )


def _describe(path: Path) -> dict[str, str]:
    """Returns the entry of a file in the record, with its source and licence if they are known."""
    header = read_header(path)
    known = {key: header[key] for key in ("source", "licence") if isinstance(header.get(key), str)}
    return {"path": str(path), "sha256": hash_file(path)} | known
