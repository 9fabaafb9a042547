"""Checks that detectors can form an ensemble."""

import jax

from dfjax.console import say
from dfjax.data.faces.recipe import list_differences
from dfjax.errors import UsageError
from dfjax.evaluation.scoring.draws import has_dropout
from dfjax.experiment import builders
from dfjax.experiment.run_data import find_recipe
from dfjax.inference.detector import Detector

SHARED_KEYS = ("frames", "sampling", "stride", "crop_size")
"""Keys of `data` that describe clips; they must be equal in all members of an ensemble."""


def check_fit(first: Detector, other: Detector) -> None:
    """Checks that two members read clips of the same kind and were trained on true labels.

    Raises:
        UsageError: They do not.
    """
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


def check_dropout(member: Detector) -> None:
    """Checks that the model of a member has dropout.

    Raises:
        UsageError: It has none, so that all passes of Monte-Carlo dropout would be the same.
    """
    batch = builders.example_batch(member.config, 1, member.config.data.crop_size)
    inputs = jax.eval_shape(lambda b: member.preprocess(b, None, train=False), batch)
    if not has_dropout(member.apply, member.variables, inputs):
        raise UsageError(
            f"{member.workdir} has no dropout: all passes of Monte-Carlo dropout would be the same"
        )
