"""Losses by name and by import path, and their options from the signatures of their factories."""

import dataclasses
import functools

import jax.numpy as jnp
import pytest

from dfjax.errors import UsageError
from dfjax.losses.registry import LOSSES, default_options, is_loss, make_loss, register_loss


def hinge(logits, outputs, batch):
    return jnp.maximum(0.0, 1.0 - logits)


def make_margin(*, margin: float = 1.0, sides: tuple = (1, 2)):
    return lambda logits, outputs, batch: margin * logits


def make_without_default(margin):
    return hinge


@dataclasses.dataclass
class Scaled:
    factor: float = 1.0

    def __call__(self, logits, outputs, batch):
        return self.factor * logits


def test_options_and_their_defaults_are_the_arguments_of_the_factory():
    assert default_options("focal") == {"gamma": 2.0, "alpha": -1.0, "smoothing": 0.0}
    assert default_options("supcon") == {"temperature": 0.1}
    assert default_options(f"{__name__}:make_margin") == {"margin": 1.0, "sides": (1, 2)}
    assert default_options(f"{__name__}:hinge") == {}


def test_an_import_path_names_a_factory_or_a_loss():
    logits = jnp.array([0.5, 2.0])
    assert make_loss(f"{__name__}:make_margin", margin=3.0)(logits, {}, {}).tolist() == [1.5, 6.0]
    assert make_loss(f"{__name__}:hinge")(logits, {}, {}).tolist() == [0.5, 0.0]


def test_objects_are_registered_under_their_import_path():
    assert register_loss(hinge) == (f"{__name__}:hinge", {})
    path, options = register_loss(Scaled(2.0))
    assert (path, options) == (f"{__name__}:Scaled", {"factor": 2.0})
    assert make_loss(path, **options) == Scaled(2.0)


@pytest.mark.parametrize(("name", "loss"), [*((n, False) for n in LOSSES), ("hinge", True)])
def test_a_loss_takes_three_arguments_and_a_factory_none(name, loss):
    assert is_loss(LOSSES.get(name, hinge)) == loss


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("focla", {}, "Did you mean 'focal'"),
        ("bce", {"smooth": 0.1}, "option of bce 'smooth'. Did you mean 'smoothing'"),
        ("no_such_package:make", {}, "no_such_package:make is not imported"),
        (f"{__name__}:make_marjin", {}, "Did you mean 'make_margin'"),
        (f"{__name__}:make_without_default", {}, "the argument 'margin' needs a default"),
        (f"{__name__}:LOSSES", {}, "neither a loss nor a factory"),
    ],
)
def test_what_cannot_be_used_is_named(name, options, message):
    with pytest.raises(UsageError, match=message):
        make_loss(name, **options)


def test_an_object_that_is_no_loss_is_refused():
    with pytest.raises(UsageError, match="has to take .logits, outputs, batch"):
        register_loss(make_margin)


def test_losses_that_a_config_could_not_tell_apart_are_refused():
    with pytest.raises(UsageError, match="a lambda has no name"):
        register_loss(lambda logits, outputs, batch: logits)
    with pytest.raises(UsageError, match="partial is no dataclass"):
        register_loss(functools.partial(hinge))
