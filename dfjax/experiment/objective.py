"""The loss of a run, built from its config and its training videos."""

import json
import re
from collections.abc import Sequence
from pathlib import Path

import jax
import numpy as np
import pandas as pd
from ml_collections import ConfigDict

from dfjax import FAKE, REAL
from dfjax.config import loss_options, override
from dfjax.errors import UsageError
from dfjax.experiment import builders
from dfjax.files import atomic_path
from dfjax.json_files import read_json
from dfjax.losses.objective import ADDED, make_objective
from dfjax.losses.registry import make_loss, register_loss
from dfjax.losses.weighting import ClassWeights, make_class_weights
from dfjax.models import ModelFns
from dfjax.shapes import Batch, Inputs, Loss, Objective

METHODS = "methods.json"
LOGIT_ONLY = ("bce", "focal")
"""Losses that only read the logit of the model."""


def make_config_loss(
    config: ConfigDict,
    index: pd.DataFrame,
    rows: np.ndarray,
    *,
    weighted: bool = True,
    loss: Loss | None = None,
) -> Objective:
    """Returns a function that computes the terms of the loss in `config.loss`.

    Args:
        config: Config of the run.
        index: Index of the data.
        rows: Positions of the training videos in the index, which class weights and methods are
            computed from.
        weighted: Whether class weights are applied. They are not in validation, as in Keras, so
            that validation losses do not depend on them.
        loss: Main loss; None for the one of `loss.name`.

    Raises:
        UsageError: The loss is unknown, or one of its options is invalid.
    """
    name = config.loss.name
    return make_objective(
        find_term_name(name),
        loss or make_loss(name, **loss_options(config)),
        class_weights=find_class_weights(config, index, rows) if weighted else None,
        methods=len(list_methods(config, index, rows)),
        **{term: config.loss[term] for term in ADDED},
    )


def use_loss(config: ConfigDict, loss: Loss) -> ConfigDict:
    """Returns a copy of `config` whose loss is an object of the caller's, by import path.

    `config.json` then records the loss, so that the run can only be resumed with the same loss; the
    module of the loss has to be imported for that.

    Raises:
        UsageError: see `register_loss`.
    """
    path, options = register_loss(loss)
    named = {f"loss.custom.{name}": value for name, value in options.items()}
    return override(config, {"loss.name": path} | named)


def find_term_name(name: str) -> str:
    """Returns the name of the main loss in logs: `my_loss` for `my_package:my_loss`."""
    return re.split(r"[.:]", name)[-1]


def find_class_weights(
    config: ConfigDict, index: pd.DataFrame, rows: np.ndarray
) -> ClassWeights | None:
    """Returns the class weights of `config.loss.class_weights`, computed from training videos.

    Args:
        config: Config of the run.
        index: Index of the data.
        rows: Positions of the training videos in the index.

    Raises:
        UsageError: The weights are invalid, or a class has no video.
    """
    labels = index["label"].to_numpy()[rows]
    real, fake = int((labels == REAL).sum()), int((labels == FAKE).sum())
    return make_class_weights(config.loss.class_weights, real=real, fake=fake)


def list_methods(config: ConfigDict, index: pd.DataFrame, rows: np.ndarray) -> list[str]:
    """Returns the names of the classes in `batch["method"]`: `real`, then the sorted methods.

    The list is empty without a method loss (`loss.method`).
    """
    if not config.loss.method:
        return []
    videos = index.iloc[rows]
    return ["real", *sorted(set(videos["method"][videos["label"] == FAKE]))]


def save_methods(workdir: Path, methods: Sequence[str]) -> None:
    """Writes the names of the classes of a method head to `methods.json`, if there are any."""
    if methods:
        with atomic_path(workdir / METHODS) as partial:
            partial.write_text(json.dumps(methods) + "\n", encoding="utf-8")


def load_methods(workdir: Path) -> list[str]:
    """Returns the names that `save_methods` wrote; an empty list if there is no file."""
    path = workdir / METHODS
    return read_json(path, [str]) if path.exists() else []


def check_outputs(
    config: ConfigDict, model: ModelFns, objective: Objective, crop_size: int
) -> None:
    """Checks that the model returns the outputs that the loss reads, without compiling.

    Args:
        config: Config of the run.
        model: Model of the run.
        objective: Function that computes the terms of the loss.
        crop_size: Side of the crops in pixels.

    Raises:
        UsageError: The loss needs a two-class head, outputs per frame, or a method head with
            another number of classes, or a term of the loss is not one number per clip.
    """
    if config.loss.name in LOGIT_ONLY and not any(config.loss[key] for key in ADDED):
        return
    clips = 2
    batch = builders.example_batch(config, clips, crop_size)
    inputs = builders.example_inputs(config, clips)

    def evaluate(rng: jax.Array, inputs: Inputs, batch: Batch) -> dict[str, jax.Array]:
        variables = model.init(rng, inputs)
        logits, outputs, _ = model.apply(variables, inputs, train=False, rngs=None)
        return objective(logits, outputs, batch)

    terms = jax.eval_shape(evaluate, jax.random.key(0), inputs, batch)
    for name, values in terms.items():
        if values.shape != (clips,):
            raise UsageError(
                f"the loss {name} of {clips} clips has shape {values.shape}: a loss must return "
                "one number per clip, f32[B]; the weighted mean is computed afterwards"
            )
