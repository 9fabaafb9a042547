"""A trained detector read back from its workdir: `dfjax.load(workdir).predict(clips)`."""

import dataclasses
import functools
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from ml_collections import ConfigDict

from dfjax.data.store.flow import compute_clip_flow
from dfjax.errors import UsageError
from dfjax.evaluation.scoring import Scorer, make_predict_step
from dfjax.experiment import builders
from dfjax.experiment import workdir as workdirs
from dfjax.experiment.frozen_backbone import open_backbone
from dfjax.experiment.objective import load_methods
from dfjax.models.frame_features import join, put_under
from dfjax.shapes import Apply, Batch, HostBatch, Inputs, Preprocess, Variables
from dfjax.training.checkpoint import KINDS, Checkpoints

Array = np.ndarray


@dataclasses.dataclass
class Detector:
    """A trained detector: the config it was trained with, its parameters, and how to score clips.

    Attributes:
        config: Config of the workdir.
        variables: `{"params", "batch_stats"}`; of a run on stored features with those of the
            backbone that computed them.
        checkpoint: Name of the checkpoint, for example `best/1200`.
        checkpoint_sha256: Hash of the checkpoint's files.
        workdir: Folder of the run.
        apply: Forward pass of the model.
        preprocess: Preprocessing of the model.
        methods: Names of the classes of the method head, where the model has one.
    """

    config: ConfigDict
    variables: Variables
    checkpoint: str
    checkpoint_sha256: str
    workdir: Path
    apply: Apply
    preprocess: Preprocess
    methods: Sequence[str] = ()

    @functools.cached_property
    def scorer(self) -> Scorer:
        """Scores batches on all devices of this process."""
        return Scorer(make_predict_step(self.apply, self.preprocess, methods=self.methods))

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
        size, flow = self.config.eval.batch_size, self.config.data.flow
        pieces = (clips[i : i + size] for i in range(0, len(clips), size))
        batches = (make_batch(piece, np.ones(piece.shape[:2], bool), flow=flow) for piece in pieces)
        scored = self.scorer([self.variables], batches, batch_size=size)
        probs = [scores["fake_prob"] for _, scores in scored]
        return np.concatenate(probs).astype(np.float32) if probs else np.zeros(0, np.float32)


def make_batch(clips: Array, mask: Array, *, flow: bool) -> HostBatch:
    """Returns a batch of clips.

    Args:
        clips: `u8[N, T, H, W, 3]`.
        mask: `bool[N, T]`, False on padding frames.
        flow: Whether to add the optical flow of the clips, which is computed here.
    """
    batch = {"clip": clips, "mask": mask}
    return batch | {"flow": compute_clip_flow(clips, mask)} if flow else batch


def load(workdir: str | os.PathLike[str], checkpoint: str = "best") -> Detector:
    """Returns the detector trained in `workdir`, ready to predict.

    Args:
        workdir: Folder of a training run.
        checkpoint: `best` (on validation) or `last`.

    Raises:
        UsageError: The folder is no workdir, or has no such checkpoint.
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
        methods=load_methods(folder),
    )


def read_either(features: Preprocess, crops: Preprocess) -> Preprocess:
    """Returns the preprocessing of a model that reads stored features, or computes them."""

    def preprocess(batch: Batch, rng: Any, *, train: bool) -> Inputs:
        chosen = features if "features" in batch else crops
        return chosen(batch, rng, train=train)

    return preprocess
