"""Detectors that score together: ensembles, passes of Monte-Carlo dropout, mirror images."""

import dataclasses
import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from ml_collections import ConfigDict

from dfjax.data.store.feature_pack import FeaturePack
from dfjax.data.store.frame_store import FrameStore
from dfjax.errors import UsageError
from dfjax.evaluation.draws import has_dropout, make_draw_step
from dfjax.evaluation.scoring import PredictStep, read_scores
from dfjax.experiment import builders
from dfjax.experiment.stored_features import check_backbone
from dfjax.inference.detector import Detector, load, pad_batch
from dfjax.training.checkpoint import KINDS

ALIKE = ("frames", "sampling", "stride", "crop_size")
"""Keys of `data` that say how clips are cut: all members get the same ones."""


@dataclasses.dataclass(frozen=True)
class Committee:
    """One or more detectors, and how a clip is scored with them.

    Attributes:
        members: the first one's config says how clips are cut and batched.
        step: jitted `(variables, batch) -> {"logit"} or {"logits"}`, see `scoring.score`.
        flip: clips are scored with their mirror images.
        how: in words, what makes several draws of one score; empty: nothing does.
    """

    members: tuple[Detector, ...]
    step: PredictStep
    flip: bool = False
    how: str = ""

    @property
    def config(self) -> ConfigDict:
        """The first member's config."""
        return self.members[0].config

    @property
    def variables(self) -> Any:
        """What `step` takes: of every member, or of the only one."""
        return tuple(member.variables for member in self.members)

    @property
    def checkpoint(self) -> str:
        """Names of all checkpoints and of what makes draws, for reports."""
        first, *others = self.members
        names = [first.checkpoint, *(f"{m.workdir}:{m.checkpoint}" for m in others)]
        return "; ".join(filter(None, (" + ".join(names), self.how)))

    @property
    def checkpoint_sha256(self) -> str:
        """Hash of the checkpoint's files; of several, the hash of their hashes."""
        hashes = [member.checkpoint_sha256 for member in self.members]
        return (
            hashes[0] if len(hashes) == 1 else hashlib.sha256("".join(hashes).encode()).hexdigest()
        )

    def score(self, clips: np.ndarray, mask: np.ndarray, batch_size: int) -> dict[str, np.ndarray]:
        """Returns `fake_prob f64[N]` of one batch of u8 clips, and what is known of its certainty.

        Args:
            clips: `u8[N, T, H, W, 3]`, N at most the batch size.
            mask: `bool[N, T]`, False on padding frames.
            batch_size: to which it is filled up, so that it compiles once.
        """
        flow = self.members[0].config.data.flow
        result = self.step(self.variables, pad_batch(clips, mask, batch_size, flow=flow))
        return {
            name: values[: len(clips)]
            for name, values in read_scores(result).items()
            if name != "logit"
        }

    def check_data(self, data: FrameStore) -> None:
        """Checks that all members can score the data.

        Raises:
            UsageError: it holds features that a member was not trained on, or has no pixels.
        """
        if not isinstance(data, FeaturePack):
            return
        if self.flip:
            raise UsageError(
                f"--flip needs frames, {data.path} holds features; give --index of a pack of crops"
            )
        for member in self.members:
            if not member.config.data.features:
                raise UsageError(
                    f"{member.workdir} reads frames, {data.path} holds features; give --index of a "
                    "pack of crops"
                )
            check_backbone(data, member.workdir)


def load_committee(
    workdir: Path,
    checkpoint: str,
    *,
    ensemble: Sequence[str] = (),
    passes: int = 0,
    flip: bool = False,
    seed: int = 0,
) -> Committee:
    """Returns the detector of a workdir, with the company and the repetitions that are asked for.

    Args:
        workdir: of the first member.
        checkpoint: of every member that is named by its workdir: `best` or `last`.
        ensemble: further members: workdirs, or checkpoints of the first one by name.
        passes: of Monte-Carlo dropout, 0: none.
        flip: score mirror images too.
        seed: of the passes.

    Raises:
        UsageError: no such workdir or checkpoint, members that do not fit together or are one and
            the same, or passes of a model without dropout.
    """
    named = [(workdir, checkpoint)]
    for name in ensemble:
        named.append((workdir, name) if name in KINDS else (Path(name), checkpoint))
    members: list[Detector] = []
    for folder, kind in named:
        member = load(folder, kind)
        for other in members:
            if other.checkpoint_sha256 == member.checkpoint_sha256:
                raise UsageError(f"{folder}, {kind}, is in the ensemble already")
        if members:
            _check_fit(members[0], member)
        members.append(member)
    if passes:
        for member in members:
            _check_dropout(member)
    if len(members) == 1 and not passes and not flip:
        only = members[0].predict_step
        return Committee((members[0],), lambda variables, batch: only(variables[0], batch))
    step = _join(
        [
            make_draw_step(m.apply, m.preprocess, passes=passes, flip=flip, seed=seed)
            for m in members
        ]
    )
    parts = (f"{passes} passes of dropout, seed {seed}" * bool(passes), "flip" * flip)
    return Committee(tuple(members), step, flip, ", ".join(filter(None, parts)))


def _join(steps: list[PredictStep]) -> PredictStep:
    def step(variables: Any, batch: Any) -> dict[str, Any]:
        logits = [one(v, batch)["logits"] for one, v in zip(steps, variables, strict=True)]
        return {"logits": jnp.concatenate(logits, axis=1)}

    return step


def _check_fit(first: Detector, other: Detector) -> None:
    """Members have to mean the same by a clip, and by its label."""
    for key in ALIKE:
        mine, theirs = first.config.data[key], other.config.data[key]
        if mine != theirs:
            raise UsageError(
                f"{other.workdir} cannot join {first.workdir}: its data.{key} is {theirs}, not "
                f"{mine}"
            )
    for member in (first, other):
        if member.config.data.shuffle_labels:
            raise UsageError(
                f"{member.workdir} was trained on shuffled labels: its scores mean nothing"
            )
    if other.config.data.flow and not first.config.data.flow:
        raise UsageError(f"{other.workdir} reads flow, {first.workdir} none: name that one first")


def _check_dropout(member: Detector) -> None:
    batch = builders.example_batch(member.config, 1, member.config.data.crop_size)
    inputs = jax.eval_shape(lambda b: member.preprocess(b, None, train=False), batch)
    if not has_dropout(member.apply, member.variables, inputs):
        raise UsageError(
            f"--mc-dropout: {member.workdir} has no dropout to be drawn; leave the option out"
        )
