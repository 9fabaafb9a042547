"""Ensembles of detectors, passes of Monte-Carlo dropout and mirror images."""

import dataclasses
import hashlib
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from ml_collections import ConfigDict

from dfjax.data.store.feature_pack import FeaturePack
from dfjax.data.store.frame_store import FrameStore
from dfjax.errors import UsageError
from dfjax.evaluation.calibration.maps import find_logits
from dfjax.evaluation.fusion.fusion_file import Fusion, is_fusion, read_fusion
from dfjax.evaluation.fusion.rules import Rule
from dfjax.evaluation.scoring.draws import make_draw_step
from dfjax.evaluation.scoring.scorer import (
    MEMBER_PROB,
    PredictStep,
    Scorer,
    Scores,
    make_global_mesh,
)
from dfjax.evaluation.videos.aggregation import VIDEO
from dfjax.experiment.stored_features import check_backbone
from dfjax.inference.detector import Detector, load
from dfjax.inference.member_checks import check_dropout, check_fit
from dfjax.shapes import HostBatch
from dfjax.training.checkpoint import KINDS


@dataclasses.dataclass(frozen=True)
class Ensemble:
    """One or more detectors whose scores are averaged.

    Attributes:
        members: Detectors; clips are cut and batched by the config of the first one.
        scorer: Function that scores batches with all members.
        flip: Whether mirror images are scored too.
        draws: Description of dropout passes and mirror images, for reports; empty without them.
        fusion: Rule that combines the scores of the members; None for their mean.
        steps: Prediction steps of the members, where there are several draws.
    """

    members: tuple[Detector, ...]
    scorer: Scorer
    flip: bool = False
    draws: str = ""
    fusion: Fusion | None = None
    steps: tuple[PredictStep, ...] = ()

    @property
    def workdir(self) -> Path:
        """Folder of results: that of the first member, or beside a fusion file."""
        return self.fusion.path.with_suffix("") if self.fusion else self.members[0].workdir

    @property
    def config(self) -> ConfigDict:
        """Config of the first member."""
        return self.members[0].config

    @property
    def checkpoint(self) -> str:
        """Names of all checkpoints, and the description of the draws, for reports."""
        first, *others = self.members
        names = [first.checkpoint, *(f"{m.workdir}:{m.checkpoint}" for m in others)]
        rule = f"{self.fusion.rule.method} of {self.fusion.path}" if self.fusion else ""
        return "; ".join(filter(None, (" + ".join(names), rule, self.draws)))

    @property
    def checkpoint_sha256(self) -> str:
        """Hash of the checkpoint's files; for several members, the hash of their hashes."""
        hashes = [member.checkpoint_sha256 for member in self.members]
        hashes += [repr(self.fusion.rule)] if self.fusion else []
        return (
            hashes[0] if len(hashes) == 1 else hashlib.sha256("".join(hashes).encode()).hexdigest()
        )

    def score(
        self, batches: Iterable[HostBatch], *, batch_size: int = 0
    ) -> Iterator[tuple[HostBatch, Scores]]:
        """Yields every batch with its scores, as `Scorer` does.

        Args:
            batches: Batches of clips on the host.
            batch_size: Number of clips that smaller batches are padded to.
        """
        variables = [member.variables for member in self.members]
        scored = self.scorer(variables, batches, batch_size=batch_size)
        return scored if self.fusion is None else self._fuse_clips(self.fusion.rule, scored)

    def _fuse_clips(
        self, rule: Rule, scored: Iterator[tuple[HostBatch, Scores]]
    ) -> Iterator[tuple[HostBatch, Scores]]:
        for batch, scores in scored:
            probs = rule(np.stack([scores[name] for name in self._columns]))
            yield batch, {**scores, "fake_prob": probs, "logit": find_logits(probs)}

    @property
    def _columns(self) -> list[str]:
        return [f"{MEMBER_PROB}{number}" for number in range(1, len(self.members) + 1)]

    def fuse_videos(self, predictions: pd.DataFrame) -> pd.DataFrame:
        """Returns predictions by the fusion's rule: one row per video, of the members' means.

        Without a fusion the table is returned as it is.
        """
        if self.fusion is None:
            return predictions
        columns = [*self._columns, *(["face_share"] if "face_share" in predictions else [])]
        videos = predictions.groupby(VIDEO, sort=False)
        table = videos.first().assign(**{name: videos[name].mean() for name in columns})
        probs = self.fusion.rule(np.stack([table[name] for name in self._columns]))
        table = table.assign(unit="video", position=0, face=0, fake_prob=probs)
        table["logit"] = find_logits(probs)
        return table.reset_index()[list(predictions.columns)]

    def fuse_means(self, means: Mapping[str, float]) -> float:
        """Returns P(fake) of a video from the means of its scores over clips."""
        if self.fusion is None:
            return means["fake_prob"]
        return float(self.fusion.rule(np.array([[means[name]] for name in self._columns]))[0])

    def divide(self, batch_size: int) -> tuple["Ensemble", int, Sequence[int]]:
        """Returns the ensemble over the devices of all processes, and what this process reads.

        This is the number of clips of a batch, rounded up to the devices, and those to read of it.

        Args:
            batch_size: Number of clips per batch.
        """
        mesh = make_global_mesh()
        scorer = Scorer(*self.scorer.steps, mesh=mesh, separate=self.scorer.separate)
        size = -(-batch_size // mesh.size) * mesh.size
        return dataclasses.replace(self, scorer=scorer), size, scorer.local_places(size)

    def check_data(self, data: FrameStore) -> None:
        """Checks that all members can score the data.

        Raises:
            UsageError: The data are stored features, and a member was trained on frames or on other
                features, or mirror images are to be scored.
        """
        if not isinstance(data, FeaturePack):
            return
        if self.flip:
            raise UsageError(
                f"flip needs frames, but {data.path} holds features; give the index of a pack of "
                "crops"
            )
        for member in self.members:
            if not member.config.data.features:
                raise UsageError(
                    f"{member.workdir} reads frames, but {data.path} holds features; give the "
                    "index of a pack of crops"
                )
            check_backbone(data, member.workdir)


def load_ensemble(
    detector: str | os.PathLike[str] | Detector,
    checkpoint: str = "best",
    *,
    ensemble: Sequence[str | os.PathLike[str]] = (),
    model: str = "",
    passes: int = 0,
    flip: bool = False,
    seed: int = 0,
) -> Ensemble:
    """Returns an ensemble of a detector and, optionally, further members.

    Args:
        detector: Workdir or safetensors file of the first member, or the detector itself.
        checkpoint: `best` or `last`, for every member that is named by its workdir.
        ensemble: Further members: workdirs, or `best` and `last` for those of the first one.
        model: Name of the config of a safetensors file whose header does not have the config.
        passes: Number of passes of Monte-Carlo dropout; 0 means without dropout.
        flip: Whether mirror images are scored too.
        seed: Seed of the passes.

    Raises:
        UsageError: A workdir or checkpoint does not exist, members are incompatible or the same,
            `passes` is 1 or negative, `seed` is negative, or passes of a model without dropout are
            requested.
    """
    _check_draws(passes, seed)
    if not isinstance(detector, Detector) and is_fusion(detector):
        if ensemble:
            raise UsageError(f"{detector} names its members; ensemble goes with a workdir")
        return load_fusion(read_fusion(detector), passes=passes, flip=flip, seed=seed)
    first = detector if isinstance(detector, Detector) else load(detector, checkpoint, model=model)
    members = [first]
    for name in ensemble:
        is_kind = name in KINDS
        folder, kind = (first.workdir, str(name)) if is_kind else (Path(name), checkpoint)
        member = load(folder, kind)
        for other in members:
            if other.checkpoint_sha256 == member.checkpoint_sha256:
                raise UsageError(f"the checkpoint {kind} of {folder} is already in the ensemble")
        members.append(member)
    return combine(members, passes=passes, flip=flip, seed=seed)


def load_fusion(fusion: Fusion, *, passes: int = 0, flip: bool = False, seed: int = 0) -> Ensemble:
    """Returns the ensemble of a fusion; arguments are those of `load_ensemble`.

    Raises:
        UsageError: A member is a table of predictions, is missing, or has another checkpoint than
            the rule was fitted to.
    """
    members = []
    for one in fusion.members:
        if one.kind != "detector":
            raise UsageError(
                f"{fusion.path} combines tables of predictions, which cannot score videos"
            )
        member = load(one.source)
        if member.checkpoint_sha256 != one.sha256:
            raise UsageError(
                f"{one.source} has another checkpoint than when {fusion.path} was written: run "
                "`dfjax fuse` again"
            )
        members.append(member)
    combined = combine(members, passes=passes, flip=flip, seed=seed)
    scorer = Scorer(*combined.steps, separate=True)
    return dataclasses.replace(combined, scorer=scorer, fusion=fusion)


def combine(
    members: Sequence[Detector], *, passes: int = 0, flip: bool = False, seed: int = 0
) -> Ensemble:
    """Returns the ensemble of some detectors.

    Args:
        members: One or more detectors.
        passes: Number of passes of Monte-Carlo dropout; 0 means without dropout.
        flip: Whether mirror images are scored too.
        seed: Seed of the passes.

    Raises:
        UsageError: Members are incompatible, or passes of a model without dropout are requested.
    """
    _check_draws(passes, seed)
    first, *others = members
    for other in others:
        check_fit(first, other)
    if passes:
        for member in members:
            check_dropout(member)
    if not others and not passes and not flip:
        return Ensemble((first,), first.scorer)
    steps = [
        make_draw_step(m.apply, m.preprocess, passes=passes, flip=flip, seed=seed) for m in members
    ]
    draws = describe_draws(passes=passes, flip=flip, seed=seed)
    return Ensemble(tuple(members), Scorer(*steps), flip, draws, steps=tuple(steps))


def describe_draws(*, passes: int = 0, flip: bool = False, seed: int = 0) -> str:
    """Returns a description of dropout passes and mirror images; empty where there are none."""
    draws = (f"{passes} passes of dropout, seed {seed}" * bool(passes), "flip" * flip)
    return ", ".join(filter(None, draws))


def _check_draws(passes: int, seed: int) -> None:
    if passes == 1 or passes < 0:
        raise UsageError(f"passes of dropout must be 0 or at least 2, not {passes}")
    if seed < 0:
        raise UsageError(f"seed must not be negative, it is {seed}")
