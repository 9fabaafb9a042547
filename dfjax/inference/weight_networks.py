"""The detector that a weights file is for: its config, and its parameters."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import jax
import numpy as np
from ml_collections import ConfigDict

from dfjax.config import load_config, model_options
from dfjax.errors import UsageError
from dfjax.experiment import builders
from dfjax.models.bn_constants import AUTO, format_bn
from dfjax.models.registry import find_backbones, input_extras
from dfjax.ops.views import VIEWS
from dfjax.weights.convention import Convention
from dfjax.weights.loading import Weights
from dfjax.weights.origin import Network
from dfjax.weights.safetensors_file import flatten, unflatten
from dfjax.weights.target import Target, detector_target, own_convention


@dataclass(frozen=True)
class DetectorNetwork:
    """A detector.

    Attributes:
        config: Its config, unlocked.
        target: Its parameters.
    """

    config: ConfigDict
    target: Target


def make_detector(spec: str, network: Network | None = None) -> DetectorNetwork:
    """Returns the detector of a config.

    Args:
        spec: Config `NAME[:variant,…]`.
        network: Detector of another program, whose settings replace those of the config.

    Raises:
        UsageError: The config is unknown, or the detector has several backbones.
    """
    config = load_config(spec).copy_and_resolve_references().unlock()
    config.adapter.name = "none"  # files have plain kernels
    if network:
        model_options(config).update(network.settings)
    return DetectorNetwork(config, find_target(config))


def find_target(config: ConfigDict) -> Target:
    """Returns the parameters of the detector of a config.

    Raises:
        UsageError: The detector has several backbones.
    """
    options = model_options(config).to_dict()
    return detector_target(config.model.name, options, size=config.preprocess.size)


def check_settings(config: ConfigDict, network: Network, *, name: str) -> None:
    """Checks that a detector has the settings of another program's.

    Args:
        config: Config of the detector.
        network: Detector of the other program.
        name: Name of that detector, for the message.

    Raises:
        UsageError: A setting differs.
    """
    options = model_options(config).to_dict()
    for key, value in network.settings.items():
        if options.get(key) != value:
            raise UsageError(f"{name} has {key}={value!r}, and this detector {options.get(key)!r}")


def check_inputs(config: ConfigDict, origin: str) -> None:
    """Checks that the networks of another program read what a detector reads.

    Args:
        config: Config of the detector.
        origin: Name of the program.

    Raises:
        UsageError: The detector reads views of the frames beside RGB.
    """
    options = model_options(config).to_dict()
    views = [name for name in input_extras(config.model.name, **options) if name in VIEWS]
    if views:
        raise UsageError(
            f"the networks of {origin} read RGB images, and this detector reads "
            f"{' and '.join(views)} too (streams={options['streams']}): onnx, stablehlo and torch "
            "carry it"
        )


def convention_of(config: ConfigDict) -> Convention:
    """Returns the convention that a detector was trained with, by its config."""
    options = model_options(config).to_dict()
    part = next(iter(find_backbones(config.model.name, **options).values()), None)
    name, chosen = config.model.name, options
    if part:
        name, chosen = part.name, {"padding": part.padding, "bn": part.bn}
    p = config.preprocess
    mean, std = tuple(p.mean), tuple(p.std)
    return replace(own_convention(name, chosen), mean=mean, std=std, size=p.size, origin="dfjax")


def apply_weights(
    detector: DetectorNetwork, weights: Weights
) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Returns the config with the convention of the weights, and what changed in it.

    Args:
        detector: Detector; its config is changed in place.
        weights: Weights for it.
    """
    config, convention = detector.config, weights.convention
    options = model_options(config)
    wanted: dict[str, Any] = {}
    for part in find_backbones(config.model.name, **options.to_dict()).values():
        wanted |= {part.padding_key: convention.padding}
        if weights.network != part.name and detector.target.name == part.name:
            wanted["backbone"] = weights.network
    if "bn" in options:
        wanted["bn"] = format_bn(convention.bn) if convention.bn else AUTO
    changes = [
        f"{key}={value} instead of {options[key]}"
        for key, value in wanted.items()
        if options[key] not in (value, AUTO)
    ]
    options.update(wanted)
    preprocess: dict[str, Any] = {"mean": convention.mean, "std": convention.std}
    if not weights.new:
        preprocess["size"] = convention.size
    for key, value in preprocess.items():
        if config.preprocess[key] != value:
            changes.append(f"preprocess.{key}={value} instead of {config.preprocess[key]}")
    config.preprocess.update(preprocess)
    note = (f"the config has the convention of the file: {'; '.join(changes)}",) if changes else ()
    return config.to_dict(), note


def fill_new(detector: DetectorNetwork, weights: Weights) -> dict[str, Any]:
    """Returns the variables of the detector; those that the file lacks are initialised."""
    if not weights.new:
        return weights.variables
    model = builders.make_model(detector.config)
    inputs = builders.example_inputs(detector.config, 1)
    zeros = jax.tree.map(lambda leaf: np.zeros(leaf.shape, leaf.dtype), inputs)
    key = jax.random.key(detector.config.seed)
    fresh = flatten(jax.jit(model.init)(key, zeros))
    return unflatten(flatten(weights.variables) | {path: fresh[path] for path in weights.new})


def keep_backbone(variables: Mapping[str, Any], target: Target) -> dict[str, Any]:
    """Returns the variables of the backbone of a detector."""
    part = target.prefix.removesuffix(".")
    return {name: tree.get(part, {}) for name, tree in variables.items()}
