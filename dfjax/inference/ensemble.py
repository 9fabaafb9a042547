"""Ensembles of detectors, passes of Monte-Carlo dropout and mirror images."""

import dataclasses
import hashlib
import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import jax
from ml_collections import ConfigDict

from dfjax.console import say
from dfjax.data.faces.recipe import list_differences
from dfjax.data.store.feature_pack import FeaturePack
from dfjax.data.store.frame_store import FrameStore
from dfjax.errors import UsageError
from dfjax.evaluation.scoring.draws import has_dropout, make_draw_step
from dfjax.evaluation.scoring.scorer import Scorer, Scores
from dfjax.experiment import builders
from dfjax.experiment.run_data import find_recipe
from dfjax.experiment.stored_features import check_backbone
from dfjax.inference.detector import Detector, load
from dfjax.shapes import HostBatch
from dfjax.training.checkpoint import KINDS

SHARED_KEYS = ("frames", "sampling", "stride", "crop_size")
"""Keys of `data` that describe clips; they must be equal in all members of an ensemble."""


@dataclasses.dataclass(frozen=True)
class Ensemble:
    """One or more detectors whose scores are averaged.

    Attributes:
        members: Detectors; clips are cut and batched by the config of the first one.
        scorer: Function that scores batches with all members.
        flip: Whether mirror images are scored too.
        draws: Description of dropout passes and mirror images, for reports; empty without them.
    """

    members: tuple[Detector, ...]
    scorer: Scorer
    flip: bool = False
    draws: str = ""

    @property
    def config(self) -> ConfigDict:
        """Config of the first member."""
        return self.members[0].config

    @property
    def checkpoint(self) -> str:
        """Names of all checkpoints, and the description of the draws, for reports."""
        first, *others = self.members
        names = [first.checkpoint, *(f"{m.workdir}:{m.checkpoint}" for m in others)]
        return "; ".join(filter(None, (" + ".join(names), self.draws)))

    @property
    def checkpoint_sha256(self) -> str:
        """Hash of the checkpoint's files; for several members, the hash of their hashes."""
        hashes = [member.checkpoint_sha256 for member in self.members]
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
        return self.scorer(variables, batches, batch_size=batch_size)

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
        _check_fit(first, other)
    if passes:
        for member in members:
            _check_dropout(member)
    if not others and not passes and not flip:
        return Ensemble((first,), first.scorer)
    steps = [
        make_draw_step(m.apply, m.preprocess, passes=passes, flip=flip, seed=seed) for m in members
    ]
    draws = describe_draws(passes=passes, flip=flip, seed=seed)
    return Ensemble(tuple(members), Scorer(*steps), flip, draws)


def describe_draws(*, passes: int = 0, flip: bool = False, seed: int = 0) -> str:
    """Returns a description of dropout passes and mirror images; empty where there are none."""
    draws = (f"{passes} passes of dropout, seed {seed}" * bool(passes), "flip" * flip)
    return ", ".join(filter(None, draws))


def _check_draws(passes: int, seed: int) -> None:
    if passes == 1 or passes < 0:
        raise UsageError(f"passes of dropout must be 0 or at least 2, not {passes}")
    if seed < 0:
        raise UsageError(f"seed must not be negative, it is {seed}")


def _check_fit(first: Detector, other: Detector) -> None:
    """Checks that two members read clips of the same kind and were trained on true labels."""
    for key in SHARED_KEYS:
        expected, found = first.config.data[key], other.config.data[key]
        if found != expected:
            raise UsageError(
                f"{other.workdir} and {first.workdir} cannot form an ensemble: data.{key} is "
                f"{found} in one and {expected} in the other"
            )
    _check_crops(first, other)
    for member in (first, other):
        if member.config.data.shuffle_labels:
            raise UsageError(
                f"{member.workdir} was trained on shuffled labels, so its scores are meaningless"
            )
    if other.config.data.flow and not first.config.data.flow:
        raise UsageError(
            f"{other.workdir} reads optical flow and {first.workdir} does not: name the one with "
            "flow first"
        )


def _check_crops(first: Detector, other: Detector) -> None:
    """Checks that the training crops of two members were made alike, as far as it is recorded."""
    ours, theirs = find_recipe(first.config), find_recipe(other.config)
    if ours is None or theirs is None:
        if ours is not theirs:
            unknown = first if ours is None else other
            say(
                f"note: the crop recipe of {unknown.workdir} is not recorded; its training "
                "crops are assumed to be like those of the other members"
            )
        return
    differences = list_differences(ours, theirs)
    if differences:
        raise UsageError(
            f"{first.workdir} and {other.workdir} cannot form an ensemble, because all members "
            f"score the same crops, and their training crops differ ({'; '.join(differences)})"
        )


def _check_dropout(member: Detector) -> None:
    batch = builders.example_batch(member.config, 1, member.config.data.crop_size)
    inputs = jax.eval_shape(lambda b: member.preprocess(b, None, train=False), batch)
    if not has_dropout(member.apply, member.variables, inputs):
        raise UsageError(
            f"{member.workdir} has no dropout: all passes of Monte-Carlo dropout would be the same"
        )
