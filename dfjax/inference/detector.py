"""A trained detector read back from its workdir: `dfjax.load(workdir).predict(clips)`."""

import dataclasses
import os
from pathlib import Path
from typing import Any

import numpy as np
from ml_collections import ConfigDict
from scipy.special import expit

from dfjax.data.store.flow import compute_clip_flow
from dfjax.errors import UsageError
from dfjax.evaluation.scoring import PredictStep, make_predict_step
from dfjax.experiment import builders
from dfjax.experiment import workdir as workdirs
from dfjax.experiment.frozen_backbone import open_backbone
from dfjax.experiment.objective import load_methods
from dfjax.models.frame_features import join, put_under
from dfjax.shapes import Apply, Batch, Inputs, Preprocess, Variables
from dfjax.training.checkpoint import KINDS, Checkpoints

Array = np.ndarray


@dataclasses.dataclass
class Detector:
    """A trained detector: the config it was trained with, its parameters, and how to score clips.

    Attributes:
        config: of the workdir.
        variables: `{"params", "batch_stats"}`; of a run on stored features with those of the
            backbone that computed them.
        checkpoint: for example `best/1200`.
        checkpoint_sha256: hash of the checkpoint's files.
        workdir: where it was trained.
        apply: of the model.
        preprocess: of the model.
        predict_step: jitted `(variables, batch) -> {"logit": f32[B]}`.
    """

    config: ConfigDict
    variables: Variables
    checkpoint: str
    checkpoint_sha256: str
    workdir: Path
    apply: Apply
    preprocess: Preprocess
    predict_step: PredictStep

    def predict(self, clips: Array) -> Array:
        """Returns `fake_prob f32[N]` of uint8 RGB clips `[N, T, H, W, 3]`.

        T is the config's number of frames; H and W are any size, faces cropped as in training.

        Raises:
            ValueError: another dtype or rank, or another number of frames.
        """
        clips = np.asarray(clips)
        frames = self.config.data.frames
        if clips.dtype != np.uint8 or clips.ndim != 5 or clips.shape[1] != frames:
            raise ValueError(
                f"predict takes uint8 [N, {frames}, H, W, 3], not {clips.dtype} {clips.shape}"
            )
        size = self.config.eval.batch_size
        logits = [
            self.logits(clips[i : i + size], np.ones((len(clips[i : i + size]), frames), bool))
            for i in range(0, len(clips), size)
        ]
        return expit(np.concatenate(logits)) if logits else np.zeros(0, np.float32)

    def logits(self, clips: Array, mask: Array, batch_size: int = 0) -> Array:
        """Returns `f32[N]` logits of one batch, padded to a fixed size so that it compiles once.

        Args:
            clips: `u8[N, T, H, W, 3]`, N at most the batch size.
            mask: `bool[N, T]`, False on padding frames.
            batch_size: 0 takes the config's evaluation batch.
        """
        size = batch_size or self.config.eval.batch_size
        batch = pad_batch(clips, mask, size, flow=self.config.data.flow)
        return np.asarray(self.predict_step(self.variables, batch)["logit"])[: len(clips)]


def pad_batch(clips: Array, mask: Array, batch_size: int, *, flow: bool) -> dict[str, Array]:
    """Returns a batch of `batch_size` clips: black ones, all frames valid, follow those given.

    Args:
        clips: `u8[N, T, H, W, 3]`.
        mask: `bool[N, T]`.
        batch_size: N or more.
        flow: add their optical flow, which is computed here.
    """
    missing = batch_size - len(clips)
    batch = {"clip": clips, "mask": mask}
    if flow:
        batch["flow"] = compute_clip_flow(clips, mask)
    padding = {name: np.zeros((missing, *x.shape[1:]), x.dtype) for name, x in batch.items()}
    padding["mask"][:] = True
    return {name: np.concatenate([x, padding[name]]) for name, x in batch.items()}


def load(workdir: str | os.PathLike[str], checkpoint: str = "best") -> Detector:
    """Returns the detector trained in `workdir`, ready to predict.

    Args:
        workdir: of `dfjax train`.
        checkpoint: `best` (on validation) or `last`.

    Raises:
        UsageError: not a workdir, or no such checkpoint.
    """
    if checkpoint not in KINDS:
        raise UsageError(f"checkpoint is 'best' or 'last', not {checkpoint!r}")
    folder = Path(workdir)
    config = workdirs.load(folder)
    model, preprocess = builders.make_model(config), builders.make_config_preprocess(config)
    backbone = open_backbone(folder) if config.data.features else None
    checkpoints = Checkpoints(folder)
    try:
        step, variables = checkpoints.restore_variables(checkpoint)
        sha256 = checkpoints.sha256(checkpoint, step)
    finally:
        checkpoints.close()
    if backbone:
        model, variables = put_under(model, backbone.fns), join(variables, backbone.variables)
        preprocess = read_either(preprocess, backbone.preprocess)
    return Detector(
        config=config,
        variables=variables,
        checkpoint=f"{checkpoint}/{step}",
        checkpoint_sha256=sha256,
        workdir=folder,
        apply=model.apply,
        preprocess=preprocess,
        predict_step=make_predict_step(model.apply, preprocess, methods=load_methods(folder)),
    )


def read_either(features: Preprocess, crops: Preprocess) -> Preprocess:
    """Returns the preprocessing of a model that reads stored features, or computes them."""

    def preprocess(batch: Batch, rng: Any, *, train: bool) -> Inputs:
        chosen = features if "features" in batch else crops
        return chosen(batch, rng, train=train)

    return preprocess
