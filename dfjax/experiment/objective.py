"""The loss of a run, from its config and the videos that it trains on."""

import inspect
import json
from collections.abc import Sequence
from pathlib import Path

import jax
import numpy as np
import pandas as pd
from ml_collections import ConfigDict

from dfjax import FAKE, REAL
from dfjax.errors import unknown
from dfjax.experiment import builders
from dfjax.files import atomic_path
from dfjax.losses.objective import LOSSES, make_loss, make_objective
from dfjax.losses.weighting import ClassWeights, make_class_weights
from dfjax.models import ModelFns
from dfjax.shapes import Batch, Inputs, Objective

METHODS = "methods.json"


def make_config_loss(
    config: ConfigDict, index: pd.DataFrame, rows: np.ndarray, *, weighted: bool = True
) -> Objective:
    """Returns the loss terms that `config.loss` describes.

    Args:
        config: Config of the run.
        index: Index of the data.
        rows: Positions in it of the training videos; they give class weights and methods.
        weighted: Whether class weights apply. In validation they do not, as in Keras, so that its
            loss means the same whatever the weights are.

    Raises:
        UsageError: An unknown loss or an impossible number.
    """
    options = config.loss
    return make_objective(
        options.name,
        make_loss(options.name, **loss_options(config)),
        class_weights=find_class_weights(config, index, rows) if weighted else None,
        temporal=options.temporal,
        method=options.method,
        methods=len(list_methods(config, index, rows)),
    )


def loss_options(config: ConfigDict) -> dict[str, float]:
    """Returns the options of the main loss that the config names.

    Raises:
        UsageError: An unknown loss.
    """
    name = config.loss.name
    if name not in LOSSES:
        raise unknown("loss", name, LOSSES)
    return {key: config.loss[key] for key in inspect.signature(LOSSES[name]).parameters}


def find_class_weights(
    config: ConfigDict, index: pd.DataFrame, rows: np.ndarray
) -> ClassWeights | None:
    """Returns the weights that `config.loss.class_weights` asks for on the training videos.

    Raises:
        UsageError: see `make_class_weights`.
    """
    labels = index["label"].to_numpy()[rows]
    real, fake = int((labels == REAL).sum()), int((labels == FAKE).sum())
    return make_class_weights(config.loss.class_weights, real=real, fake=fake)


def list_methods(config: ConfigDict, index: pd.DataFrame, rows: np.ndarray) -> list[str]:
    """Returns what `batch["method"]` counts: `real`, then the methods of training, sorted.

    Nothing where no method loss asks for it.
    """
    if not config.loss.method:
        return []
    videos = index.iloc[rows]
    return ["real", *sorted(set(videos["method"][videos["label"] == FAKE]))]


def save_methods(workdir: Path, methods: Sequence[str]) -> None:
    """Writes `methods.json`: what the numbers of a method head mean. Without methods, nothing."""
    if methods:
        with atomic_path(workdir / METHODS) as partial:
            partial.write_text(json.dumps(methods) + "\n", encoding="utf-8")


def load_methods(workdir: Path) -> list[str]:
    """Returns what `save_methods` wrote, nothing where it wrote nothing."""
    path = workdir / METHODS
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else []


def check_outputs(
    config: ConfigDict, model: ModelFns, objective: Objective, crop_size: int
) -> None:
    """Checks that the model says what the loss reads, before anything is compiled.

    Raises:
        UsageError: it has no two-class head, nothing per frame, or no head of that many methods.
    """
    if config.loss.name in ("bce", "focal") and not config.loss.temporal and not config.loss.method:
        return  # these read the logit only
    batch = builders.example_batch(config, 2, crop_size)
    inputs = builders.example_inputs(config, 2)

    def evaluate(rng: jax.Array, inputs: Inputs, batch: Batch) -> dict[str, jax.Array]:
        variables = model.init(rng, inputs)
        logits, outputs, _ = model.apply(variables, inputs, train=False, rngs=None)
        return objective(logits, outputs, batch)

    jax.eval_shape(evaluate, jax.random.key(0), inputs, batch)
