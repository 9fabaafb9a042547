"""Reads the parts of a trained detector from a workdir or from a weights file."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
from ml_collections import ConfigDict

from dfjax.config import config_names, from_dict, load_config
from dfjax.data.store.feature_pack import RECORD_SCHEMA
from dfjax.errors import UsageError, unknown
from dfjax.experiment import builders
from dfjax.experiment import workdir as workdirs
from dfjax.experiment.backbone_files import apply_convention, read_convention
from dfjax.experiment.frozen_backbone import FrozenBackbone, open_backbone, restore
from dfjax.experiment.hub_folder import find_weights, is_hub_folder
from dfjax.experiment.objective import load_methods
from dfjax.files import hash_file
from dfjax.json_files import check_value
from dfjax.models import ModelFns
from dfjax.models.adapters import merge_variables
from dfjax.models.frame_features import join, put_under, split_off
from dfjax.object_stores import refuse_urls
from dfjax.shapes import Apply, Batch, Inputs, Preprocess, Variables
from dfjax.training.checkpoint import KINDS, Checkpoints
from dfjax.weights.hub import fetch_repository, is_hub_address, parse_address
from dfjax.weights.mismatch import check_keys
from dfjax.weights.safetensors_file import load_safetensors
from dfjax.weights.target import flat_shapes

EXPORT = {
    "model?": str,
    "kind?": str,
    "config?": {str: object},
    "checkpoint?": str,
    "methods?": [str],
    "features?": RECORD_SCHEMA,
    "data_sha256?": str,
}
"""Schema of the header of a weights file."""


class Saved(NamedTuple):
    """The stored parts of a detector, whose kernels are merged with its adapters, if any.

    Attributes:
        config: Config that the detector was trained with, but `adapter.name=none`.
        variables: Parameters and batch statistics of its model.
        backbone: Backbone of the stored features that the model reads; None if it reads frames.
        checkpoint: Name of the checkpoint, for example `best/1200`.
        checkpoint_sha256: Hash of the checkpoint's files.
        methods: Names of the classes of the method head, where the model has one.
        folder: Folder of the run, or of a detector of the hub. For a weights file it is its path
            without the suffix and for an address its name; neither need exist.
        data_sha256: SHA-256 of the index of the data that a detector of a file was trained on, as
            its header states; empty if that does not.
    """

    config: ConfigDict
    variables: Variables
    backbone: FrozenBackbone | None
    checkpoint: str
    checkpoint_sha256: str
    methods: Sequence[str]
    folder: Path
    data_sha256: str = ""


def read_saved(
    source: str | os.PathLike[str], checkpoint: str = "best", *, model: str = ""
) -> Saved:
    """Returns the detector, or the generator, of a workdir or of a weights file.

    Args:
        source: Workdir of a training run, a safetensors file of `dfjax export` or `dfjax weights
            import`, or a detector in the form of the Hugging Face Hub: its folder, or
            `hf://USER/NAME[@REVISION]`.
        checkpoint: `best` (on the validation data) or `last`, where `source` is a workdir.
        model: Name of the config of a safetensors file whose header does not have the config.

    Raises:
        UsageError: `source` is none of these, the checkpoint does not exist, or a model is named
            for a workdir.
    """
    if is_hub_address(source):
        address = parse_address(source)
        folder = fetch_repository(address)
        weights = find_weights(folder, folder.parents[1])  # links lead to the blobs of the cache
        return read_weights(weights, model)._replace(folder=Path(address.name))
    refuse_urls([source], "a workdir or weights file")
    path = Path(source)
    if is_hub_folder(path):
        return read_weights(find_weights(path), model)._replace(folder=path)
    if path.is_file() or path.suffix == ".safetensors":
        return read_weights(path, model)
    if model:
        raise UsageError(
            f"model={model} is for a weights file; {source} is a workdir with a config"
        )
    return read_workdir(path, checkpoint)


def read_workdir(folder: Path, checkpoint: str) -> Saved:
    """Returns the detector of a workdir.

    Args:
        folder: Folder of a training run.
        checkpoint: `best` or `last`.

    Raises:
        UsageError: The folder is not a workdir, or the checkpoint does not exist.
    """
    if checkpoint not in KINDS:
        raise UsageError(f"checkpoint is 'best' or 'last', not {checkpoint!r}")
    config = workdirs.load(folder)
    checkpoints = Checkpoints(folder, read_only=True)
    try:
        step, variables = checkpoints.restore_variables(checkpoint)
        sha256 = checkpoints.sha256(checkpoint, step)
    finally:
        checkpoints.close()
    config, variables = _merge_adapters(config, variables)
    backbone = open_backbone(folder) if config.data.features else None
    name = f"{checkpoint}/{step}"
    return Saved(config, variables, backbone, name, sha256, load_methods(folder), folder)


def read_weights(path: Path, model: str = "") -> Saved:
    """Returns the detector in a safetensors file.

    Args:
        path: File of `dfjax export` or `dfjax weights import`.
        model: Name of the detector's config. It is needed where the header of the file names
            neither a config nor the model.

    Raises:
        UsageError: The file cannot be read, has a backbone only or another detector, or its
            detector is not known.
    """
    variables, metadata = load_safetensors(path)
    check_value(metadata, EXPORT, name=f"the header of {path}")
    if metadata.get("kind") == "backbone":
        raise UsageError(
            f"{path} has the parameters of the backbone {metadata.get('model', '')}, not of a "
            "detector: a detector starts from it with init.backbone"
        )
    found = _find_config(metadata, path, model)
    config, merged = _merge_adapters(found, variables)
    config, variables = config.copy_and_resolve_references(), dict(merged)
    config.data.crop_size = config.data.crop_size or config.preprocess.size
    backbone = None
    if "features" in metadata:
        variables, below = split_off(variables)
        backbone = restore(metadata["features"], below, source=str(path))
    return Saved(
        config=config.lock(),
        variables=variables,
        backbone=backbone,
        checkpoint=metadata.get("checkpoint", path.name),
        checkpoint_sha256=hash_file(path),
        methods=metadata.get("methods", ()),
        folder=path.with_suffix(""),
        data_sha256=metadata.get("data_sha256", ""),
    )


def _merge_adapters(config: ConfigDict, variables: Variables) -> tuple[ConfigDict, Variables]:
    """Returns config and variables of the detector with plain kernels."""
    adapter = builders.config_adapter(config)
    if adapter.name == "none":
        return config, variables
    plain = config.copy_and_resolve_references()
    plain.adapter.name = "none"
    plain.loss.update({"orthogonality": 0.0, "singular_values": 0.0})  # are of adapters
    return plain, merge_variables(variables, adapter)


def _find_config(metadata: Mapping[str, Any], path: Path, model: str) -> ConfigDict:
    """Returns the config of a file's detector, from its header or by the name of the config."""
    if "config" in metadata:
        config = from_dict(metadata["config"], name=f"the config in {path}")
        if model and model not in (config.name, metadata.get("model")):
            raise UsageError(
                f"{path} has the parameters of the detector {config.name}, not {model}"
            )
        return config
    named = metadata.get("model", model)
    if model and model != named:
        raise UsageError(f"{path} has the parameters of the model {named}, not {model}")
    if not named:
        raise UsageError(
            f"{path} has parameters without the config of their detector: name it (model), or use "
            "a file of `dfjax export` or `dfjax weights import`"
        )
    if named not in config_names():  # the name may be that of a file of others
        raise unknown("detector", named, config_names())
    config = load_config(named).copy_and_resolve_references()
    convention = read_convention(metadata, path)
    if convention:
        apply_convention(config, convention)
    return config.lock()


class Assembled(NamedTuple):
    """The functions of a detector, with its variables.

    Attributes:
        apply: Forward pass, in which a detector on stored features includes their backbone.
        preprocess: Preprocessing of clips or of stored features.
        variables: Parameters and batch statistics.
    """

    apply: Apply
    preprocess: Preprocess
    variables: Variables


def assemble(saved: Saved, source: str | os.PathLike[str]) -> Assembled:
    """Returns the functions of a stored detector that score clips.

    Args:
        saved: Stored parts of the detector.
        source: What it was read from, for messages.

    Raises:
        UsageError: The variables are not those of the model, or the model is the user's own and its
            module is not imported.
    """
    config, variables, backbone = saved.config, saved.variables, saved.backbone
    fns, preprocess = builders.make_model(config), builders.make_config_preprocess(config)
    check_shapes(fns, variables, builders.example_inputs(config, 1), source=str(source))
    if backbone:
        fns, variables = put_under(fns, backbone.fns), join(variables, backbone.variables)
        preprocess = read_either(preprocess, backbone.preprocess)
    return Assembled(fns.apply, preprocess, variables)


def read_either(features: Preprocess, crops: Preprocess) -> Preprocess:
    """Returns a preprocessing that chooses by the batch whether it has features or crops.

    Args:
        features: Preprocessing of stored features.
        crops: Preprocessing of the backbone that computes them from crops.
    """

    def preprocess(batch: Batch, rng: Any, *, train: bool) -> Inputs:
        chosen = features if "features" in batch else crops
        return chosen(batch, rng, train=train)

    return preprocess


def check_shapes(
    model: ModelFns, variables: Variables, inputs: Mapping[str, Any], *, source: str
) -> None:
    """Checks that the variables of a checkpoint are those that the model of its config has.

    Args:
        model: Model of the config.
        variables: Variables of the checkpoint.
        inputs: Shapes of the inputs of the model.
        source: What the detector was read from, for the message.

    Raises:
        UsageError: A path or a shape differs.
    """
    wanted = jax.eval_shape(model.init, jax.random.key(0), inputs)
    network = "the model in its config"
    check_keys(flat_shapes(variables), flat_shapes(wanted), source=source, network=network)
