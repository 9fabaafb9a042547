"""Reads the parts of a trained detector from a workdir or from a file of `dfjax export`."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
from ml_collections import ConfigDict

from dfjax.config import from_dict
from dfjax.data.store.feature_pack import RECORD_SCHEMA
from dfjax.errors import UsageError
from dfjax.experiment import workdir as workdirs
from dfjax.experiment.frozen_backbone import FrozenBackbone, open_backbone, restore
from dfjax.experiment.objective import load_methods
from dfjax.files import hash_file
from dfjax.json_files import check_value
from dfjax.models import ModelFns
from dfjax.models.frame_features import split_off
from dfjax.shapes import Variables
from dfjax.training.checkpoint import KINDS, Checkpoints
from dfjax.weights.merge import merge
from dfjax.weights.safetensors_file import load_safetensors

EXPORT = {
    "config": {str: object},
    "checkpoint": str,
    "methods?": [str],
    "features?": RECORD_SCHEMA,
}
"""Schema of the header of an exported file."""


class Saved(NamedTuple):
    """The stored parts of a detector.

    Attributes:
        config: Config that the detector was trained with.
        variables: Parameters and batch statistics of its model.
        backbone: Backbone of the stored features that the model reads; None if it reads frames.
        checkpoint: Name of the checkpoint, for example `best/1200`.
        checkpoint_sha256: Hash of the checkpoint's files.
        methods: Names of the classes of the method head, where the model has one.
    """

    config: ConfigDict
    variables: Variables
    backbone: FrozenBackbone | None
    checkpoint: str
    checkpoint_sha256: str
    methods: Sequence[str]


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
    backbone = open_backbone(folder) if config.data.features else None
    name = f"{checkpoint}/{step}"
    return Saved(config, variables, backbone, name, sha256, load_methods(folder))


def read_export(path: Path) -> Saved:
    """Returns the detector in a safetensors file that `dfjax export` wrote.

    Raises:
        UsageError: The file cannot be read, or it holds parameters only.
    """
    variables, metadata = load_safetensors(path)
    if not {"config", "checkpoint"} <= set(metadata):
        raise UsageError(
            f"{path} holds parameters without the config of their detector; use a file of `dfjax "
            "export`"
        )
    check_value(metadata, EXPORT, name=f"the header of {path}")
    backbone = None
    if "features" in metadata:
        variables, below = split_off(variables)
        backbone = restore(metadata["features"], below, source=str(path))
    return Saved(
        config=from_dict(metadata["config"], name=f"the config in {path}"),
        variables=variables,
        backbone=backbone,
        checkpoint=metadata["checkpoint"],
        checkpoint_sha256=hash_file(path),
        methods=metadata.get("methods", ()),
    )


def check_shapes(
    model: ModelFns, variables: Variables, inputs: Mapping[str, Any], *, source: Path
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
    merged = merge(wanted, variables, source=str(source))
    if wrong := merged.kept + merged.left_out:
        raise UsageError(
            f"the checkpoint of {source} does not fit its config: {len(wrong)} parameters are only "
            f"in one of them, such as {wrong[0]}"
        )
