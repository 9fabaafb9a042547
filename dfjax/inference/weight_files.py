"""Import and export of weights files: `dfjax weights import` and `dfjax weights export`."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ml_collections import ConfigDict

import dfjax
from dfjax.config import config_names, from_dict, load_config, model_options
from dfjax.errors import UsageError, unknown
from dfjax.files import atomic_path, hash_file
from dfjax.inference.weight_networks import (
    DetectorNetwork,
    apply_weights,
    check_inputs,
    check_settings,
    convention_of,
    fill_new,
    find_target,
    keep_backbone,
    make_detector,
)
from dfjax.models.backbones import BACKBONES
from dfjax.outputs import check_outputs
from dfjax.results import Result
from dfjax.weights.convention import Convention, find_convention
from dfjax.weights.foreign_file import find_file
from dfjax.weights.loading import Weights, load
from dfjax.weights.origin import Network
from dfjax.weights.registry import DFJAX, ORIGINS, find_origin
from dfjax.weights.safetensors_file import (
    flatten,
    is_safetensors,
    load_safetensors,
    read_header,
    save_safetensors,
)
from dfjax.weights.saving import save
from dfjax.weights.target import Target, backbone_target, own_convention

SOURCE_KEYS = ("source", "source_sha256", "licence")
"""Entries of the header that tell where weights are from."""


@dataclass(frozen=True)
class Imported(Result):
    """The result of `import_weights`.

    Attributes:
        out: File that was written.
        model: Name of the network that it is for.
        kind: `backbone` or `detector`.
        tensors: Number of its arrays.
        convention: Convention of the origin, as in the header of the file.
        notes: What was recognised, left out or changed.
    """

    out: Path
    model: str
    kind: str
    tensors: int
    convention: dict[str, Any]
    notes: tuple[str, ...]

    def describe(self) -> list[str]:
        """Returns a line that names the network and counts its arrays."""
        return [f"{self.out}: {self.kind} {self.model}, {self.tensors} arrays"]


@dataclass(frozen=True)
class Exported(Result):
    """The result of `export_weights`.

    Attributes:
        out: File that was written.
        tensors: Number of its arrays.
        convention: Convention of the weights, which the other program has to follow.
    """

    out: Path
    tensors: int
    convention: dict[str, Any]

    def describe(self) -> list[str]:
        """Returns a line that counts the arrays and says what the other program has to follow."""
        c = self.convention
        follow = f"mean {c['mean']}, std {c['std']}, {c['size']} px"
        return [f"{self.out}: {self.tensors} arrays; {follow}"]


def import_weights(
    path: str | os.PathLike[str],
    origin: str,
    model: str,
    out: str | os.PathLike[str],
    *,
    source: str = "",
    licence: str = "",
    **options: Any,
) -> Imported:
    """Converts the weights file of another program to a safetensors file of ours.

    Args:
        path: File of the other program, or a folder with one, as the hub has them.
        origin: Name of the program, a key of `ORIGINS`, or `dfjax` for our own names.
        model: Name of a backbone or of a config.
        out: File to write.
        source: Address, or package or repository with its version, that the file was fetched from.
            It is recorded in the header, as is the hash of the file; by default its name is.
        licence: Licence of the weights, for the header.
        options: Options of `dfjax.weights.load`.

    Raises:
        UsageError: The file cannot be read or does not fit the network, or `out` is a file that
            dfjax did not write. Nothing is written then.
    """
    path, out = find_file(path), Path(out)
    if out.suffix != ".safetensors":
        raise UsageError(f"{out}: weights are imported to a .safetensors file")
    check_outputs([out], inputs=[path])
    detector = _find_detector(origin, model)
    weights = load(path, origin, detector.target if detector else model, **options)
    if origin == DFJAX:
        weights = replace(weights, convention=_own_convention(path, weights, detector))
    variables, notes = weights.variables, weights.notes
    header: dict[str, Any] = {
        "format": "dfjax",
        "version": dfjax.__version__,
        "model": model if detector else weights.network,
        "kind": "detector" if detector else "backbone",
        "convention": weights.convention.to_dict(),
        "source": source or Path(path).name,
        "source_sha256": hash_file(path),
    }
    header |= {"licence": licence} if licence else {}
    if origin == DFJAX:  # the weights are still those that the file was made of
        header |= {key: value for key, value in _own_header(path).items() if key in SOURCE_KEYS}
    if detector:
        header["config"], changes = apply_weights(detector, weights)
        variables, notes = fill_new(detector, weights), notes + changes
    elif weights.network != model:
        notes += (f"the network of the file is the backbone {weights.network}",)
    with atomic_path(out) as partial:
        save_safetensors(partial, variables, metadata=header)
    tensors = len(flatten(variables))
    return Imported(out, header["model"], header["kind"], tensors, header["convention"], notes)


def _own_header(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Returns the header of a file with our names; formats without a header have an empty one."""
    return read_header(path) if is_safetensors(path) else {}


def _own_convention(
    path: str | os.PathLike[str], weights: Weights, detector: DetectorNetwork | None
) -> Convention:
    """Returns the convention of a file with our names: its header's, or that of the network."""
    header = _own_header(path)
    if convention := find_convention(header, str(path)):
        return convention
    if "config" in header and detector:
        return convention_of(from_dict(header["config"], name=f"the config in {path}"))
    return convention_of(detector.config) if detector else weights.convention


def export_weights(
    path: str | os.PathLike[str],
    origin: str,
    model: str,
    out: str | os.PathLike[str],
    *,
    positive: str | None = None,
) -> Exported:
    """Converts a safetensors file of ours to a weights file of another program.

    Args:
        path: File of `dfjax weights import` or `dfjax export`.
        origin: Name of the program, a key of `ORIGINS`, or `dfjax` for our own names.
        model: Name of the network in the file, or of the backbone of its detector.
        out: File to write; its suffix is the format.
        positive: Class that the output shall score, `fake` or `real`; None is the program's usual
            one.

    Raises:
        UsageError: The file cannot be read, has another network, or the program would compute
            something else with it. Nothing is written then.
    """
    out = Path(out)
    if origin != DFJAX:
        find_origin(origin)
    check_outputs([out], inputs=[path])
    loaded, header = load_safetensors(path)
    target, variables, convention = _find_saved(header, loaded, origin, model, str(path))
    arrays = save(out, variables, origin, target, convention, positive=positive)
    return Exported(out, len(arrays), convention.to_dict())


def _find_detector(origin: str, model: str) -> DetectorNetwork | None:
    """Returns the detector that a name means for a program, or None for a bare backbone."""
    network = _find_network(origin, model)
    if network and network.config:
        detector = make_detector(network.config, network)
        return DetectorNetwork(detector.config, _named(detector.target, model))
    if model in BACKBONES and (network or origin == DFJAX or model not in config_names()):
        return None
    name = model.partition(":")[0]
    if name not in config_names():
        raise unknown("model", name, {*config_names(), *BACKBONES, *_detectors(origin)})
    return make_detector(model)


def find_whole_network(origin: str, config: ConfigDict) -> str:
    """Returns the name of a detector of another program that a config's detector is.

    Args:
        origin: Name of the program.
        config: Config of the detector.

    Raises:
        UsageError: The program has no such detector.
    """
    check_inputs(config, origin)
    options, reasons = model_options(config).to_dict(), []
    for name, network in find_origin(origin).networks.items():
        if network.config and load_config(network.config).model.name == config.model.name:
            wrong = {k: v for k, v in network.settings.items() if options.get(k) != v}
            if not wrong:
                return name
            reasons.append(f"{name} has {', '.join(f'{k}={v!r}' for k, v in wrong.items())}")
    raise UsageError(
        f"{origin} has no detector like {config.name}"
        + (f" ({'; '.join(reasons)})" if reasons else "")
        + f"; its detectors: {', '.join(_detectors(origin))}. onnx, stablehlo and "
        "torch carry every detector"
    )


def _find_network(origin: str, model: str) -> Network | None:
    return None if origin == DFJAX else find_origin(origin).networks.get(model)


def _detectors(origin: str) -> list[str]:
    networks = ORIGINS[origin].networks if origin in ORIGINS else {}
    return [name for name, network in networks.items() if network.config]


def _named(target: Target, name: str) -> Target:
    return Target(name, target.shapes, target.prefix)


def _find_saved(
    header: Mapping[str, Any],
    variables: Mapping[str, Any],
    origin: str,
    model: str,
    source: str,
) -> tuple[Target, Mapping[str, Any], Convention]:
    """Returns the network in a file of ours, its variables and its convention."""
    named = header.get("model", model)
    network = _find_network(origin, model)
    convention = find_convention(header, source)
    if "config" not in header:
        if model != named and not (network and network.renamed == named):
            raise UsageError(f"{source} has the parameters of {named}, not of {model}")
        return backbone_target(named), variables, convention or own_convention(named, {})
    config = from_dict(header["config"], name=f"the config in {source}")
    if origin != DFJAX:
        check_inputs(config, origin)
    named = header.get("model", config.name)
    target, convention = find_target(config), convention or convention_of(config)
    if network and network.config:  # a detector, which may be named as its backbone is
        if load_config(network.config).model.name != config.model.name:
            raise UsageError(f"{source} has the parameters of {named}, not of {model}")
        check_settings(config, network, name=f"{origin}'s {model}")
        return _named(target, model), variables, convention
    if model == target.name and model != named and target.prefix:
        return backbone_target(model), keep_backbone(variables, target), convention
    if model != named:
        raise UsageError(f"{source} has the parameters of {named}, not of {model}")
    return target, variables, convention
