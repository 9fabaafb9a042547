"""Safetensors files of backbones: their variables, and the convention that they were trained with.

The header of a file of `dfjax weights import` names the architecture (`model`) and the `convention`
of its origin: padding, constants of batch normalisation, and the mean, standard deviation and size
of input images. A file of `dfjax export` has the config of its detector instead.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from ml_collections import ConfigDict

from dfjax.config import from_dict, model_options
from dfjax.config_ranges import check_ranges
from dfjax.errors import UsageError
from dfjax.json_files import check_value
from dfjax.models.backbones import BACKBONES
from dfjax.models.bn_constants import AUTO, format_bn
from dfjax.models.entry import BackbonePart
from dfjax.models.frame_features import BACKBONE
from dfjax.models.registry import find_entry
from dfjax.shapes import Variables
from dfjax.weights.convention import find_convention
from dfjax.weights.safetensors_file import load_safetensors, read_header

HEADER = {"model?": str, "config?": {str: object}}
"""Schema of the entries of the header that are read here."""


class TrainedSettings(NamedTuple):
    """The settings that parameters were trained with.

    Attributes:
        padding: Padding rule of `dfjax.ops.padding`, or `auto` if it is that of the architecture.
        bn: Text of the constants of batch normalisation (see `bn_constants`), or `auto`.
        mean: Mean of every channel of the input images, for values in [0, 1].
        std: Standard deviation of every channel.
        size: Side of the images in pixels.
    """

    padding: str
    bn: str
    mean: tuple[float, ...]
    std: tuple[float, ...]
    size: int


class BackboneFile(NamedTuple):
    """The content of a file.

    Attributes:
        variables: Variables of the backbone.
        convention: Settings that they were trained with; None if the header does not tell them.
    """

    variables: Variables
    convention: TrainedSettings | None


def read_backbone(path: str | Path, wanted: BackbonePart) -> BackboneFile:
    """Returns the backbone in a file, which may be that of a whole detector.

    Args:
        path: Safetensors file.
        wanted: Backbone that the variables are for.

    Raises:
        UsageError: The file cannot be read, or its header names another architecture or several.
    """
    variables, header = load_safetensors(path)
    part, settings = _read_settings(header, wanted, path)
    part = part or next((k for k in (wanted.part, BACKBONE) if k in variables["params"]), None)
    if part:
        variables = {name: tree.get(part, {}) for name, tree in variables.items()}
    return BackboneFile(variables, settings)


def read_settings(path: str | Path, wanted: BackbonePart) -> TrainedSettings | None:
    """Returns the settings in the header of a backbone's file; None if it does not tell them.

    The arrays of the file are not read.

    Args:
        path: Safetensors file.
        wanted: Backbone that the file is for.

    Raises:
        UsageError: The file cannot be read, or its header names another architecture or several.
    """
    return _read_settings(read_header(path), wanted, path)[1]


def _read_settings(
    header: Mapping[str, Any], wanted: BackbonePart, path: str | Path
) -> tuple[str | None, TrainedSettings | None]:
    """Returns the part of the detector that a file contains, and the settings of the backbone."""
    check_value(header, HEADER, name=f"the header of {path}")
    part, settings = None, None
    if "config" in header:
        part, settings = _find_in_detector(header["config"], wanted, path)
    else:
        named = header.get("model", wanted.name)
        if named in BACKBONES and wanted.name in BACKBONES and named != wanted.name:
            raise UsageError(f"{path} has the parameters of {named}, not of {wanted.name}")
    return part, read_convention(header, path) or settings


def _find_in_detector(
    saved: Mapping[str, Any], wanted: BackbonePart, path: str | Path
) -> tuple[str, TrainedSettings]:
    """Returns the part of a detector that is the wanted backbone, and its convention."""
    config = from_dict(saved, name=f"the config in {path}")
    parts = find_entry(config.model.name).backbones(model_options(config).to_dict())
    fitting = [part for part in parts.values() if part.name == wanted.name]
    fitting = [part for part in fitting if part.part == wanted.part] or fitting
    if not fitting:
        names = ", ".join(part.name for part in parts.values()) or "none"
        raise UsageError(f"{path} is a detector with the backbone {names}, not {wanted.name}")
    p, part = config.preprocess, fitting[0]
    return part.part, TrainedSettings(part.padding, part.bn, tuple(p.mean), tuple(p.std), p.size)


def read_convention(header: Mapping[str, Any], path: str | Path) -> TrainedSettings | None:
    """Returns the convention in the header of a file; None if there is none.

    Args:
        header: Header of the file.
        path: Name of the file, for messages.

    Raises:
        FileError: The header is damaged.
    """
    found = find_convention(header, str(path))
    if found is None:
        return None
    bn = format_bn(found.bn) if found.bn else AUTO
    return TrainedSettings(found.padding, bn, found.mean, found.std, found.size)


def apply_convention(config: ConfigDict, convention: TrainedSettings) -> None:
    """Sets the options `auto` of a whole detector and its preprocessing to a convention.

    Args:
        config: Config of the detector, changed in place.
        convention: Convention of its parameters.

    Raises:
        UsageError: A value is out of its range.
    """
    options = model_options(config)
    for key, value in (("padding", convention.padding), ("bn", convention.bn)):
        if options.get(key) == AUTO:
            options[key] = value
    config.preprocess.update({key: getattr(convention, key) for key in ("mean", "std", "size")})
    check_ranges(config)
