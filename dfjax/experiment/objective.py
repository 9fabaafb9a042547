"""The loss of a run, from its config and the videos that it trains on."""

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
from dfjax.losses.objective import make_objective
from dfjax.losses.registry import make_loss, register_loss
from dfjax.losses.weighting import ClassWeights, make_class_weights
from dfjax.models import ModelFns
from dfjax.shapes import Batch, Inputs, Loss, Objective

METHODS = "methods.json"
LOGIT_ONLY = ("bce", "focal")
"""Losses that read nothing of a model but the logit."""


def make_config_loss(
    config: ConfigDict,
    index: pd.DataFrame,
    rows: np.ndarray,
    *,
    weighted: bool = True,
    loss: Loss | None = None,
) -> Objective:
    """Returns the loss terms that `config.loss` describes.

    Args:
        config: Config of the run.
        index: Index of the data.
        rows: Positions in it of the training videos; they give class weights and methods.
        weighted: Whether class weights apply. In validation they do not, as in Keras, so that its
            loss means the same whatever the weights are.
        loss: Main loss to use in place of the one that `loss.name` and its options give.

    Raises:
        UsageError: An unknown loss or an impossible number.
    """
    name = config.loss.name
    return make_objective(
        find_term_name(name),
        loss or make_loss(name, **loss_options(config)),
        class_weights=find_class_weights(config, index, rows) if weighted else None,
        temporal=config.loss.temporal,
        method=config.loss.method,
        methods=len(list_methods(config, index, rows)),
    )


def use_loss(config: ConfigDict, loss: Loss) -> ConfigDict:
    """Returns a copy of `config` whose `loss.name` is the import path of a loss object.

    `config.json` then records which loss the run had: resuming with another one is refused, and
    with the same one it works wherever the module of the loss is imported.

    Raises:
        UsageError: The object cannot be called with (logits, outputs, batch).
    """
    return override(config, {"loss.name": register_loss(loss)})


def find_term_name(name: str) -> str:
    """Returns what the main loss is called in logs: `focal`, `my_loss` for `my_package:my_loss`."""
    return re.split(r"[.:]", name)[-1]


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
    """Checks that the model returns what the loss reads, before anything is compiled.

    Raises:
        UsageError: It has no two-class head, nothing per frame, or no head of that many methods; or
            a term of the loss is not one number per clip.
    """
    if config.loss.name in LOGIT_ONLY and not config.loss.temporal and not config.loss.method:
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
                f"the loss {name} of {clips} clips has the shape {values.shape}: a loss returns "
                "one number per clip, f32[B]; the mean is taken later, with the clips' weights"
            )
