"""The loss of a generator, built from its config, with the fixed networks that it reads."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from ml_collections import ConfigDict

from dfjax import precision
from dfjax.errors import UsageError
from dfjax.experiment.backbone_files import read_backbone
from dfjax.experiment.generator_check import is_generator
from dfjax.experiment.saved import assemble, read_saved
from dfjax.losses.adversarial import find_adversarial
from dfjax.losses.generator import (
    GeneratorObjective,
    Term,
    flow_consistency,
    make_adversarial_term,
    make_critic_term,
    make_perceptual_term,
    restoration,
)
from dfjax.models.entry import BackbonePart
from dfjax.models.feature_maps import make_feature_maps
from dfjax.models.layers import Compute
from dfjax.ops.lowering import resolve
from dfjax.weights.mismatch import check_keys
from dfjax.weights.target import flat_shapes

RANDOM = "perceptual_random"
"""Name of the perceptual term in logs where its network has random parameters."""


class FixedTerm(NamedTuple):
    """A term of the loss that reads a fixed network.

    Attributes:
        name: Name of the term in logs.
        term: Function that returns the value of each clip.
        variables: Variables of the network.
        note: Line that tells which network it is.
    """

    name: str
    term: Term
    variables: Any
    note: str


class Objective(NamedTuple):
    """The loss of a generator and its fixed networks.

    Attributes:
        loss: Terms and their factors.
        frozen: Variables of the fixed networks, by the name of their term.
        notes: Lines about the fixed networks, for the log.
    """

    loss: GeneratorObjective
    frozen: dict[str, Any]
    notes: list[str]


def make_generator_objective(config: ConfigDict, *, platform: str = "") -> Objective:
    """Returns the loss of a generator with the networks that `config.loss` names.

    Args:
        config: Config of the run.
        platform: Platform that the step is to run on; empty for that of this process.

    Raises:
        UsageError: A network cannot be read, or does not fit.
    """
    loss = config.loss
    terms: dict[str, Term] = {}
    if loss.restoration.weight:
        terms["restoration"] = restoration
    if loss.adversarial.weight:
        terms["adversarial"] = make_adversarial_term(find_adversarial(loss.adversarial.kind))
    if loss.flow_consistency.weight:
        terms["flow_consistency"] = flow_consistency
    factors = {name: loss[name].weight for name in terms}
    fixed = []
    if loss.perceptual.weight:
        fixed.append(_make_perceptual(config, platform))
        factors[fixed[-1].name] = loss.perceptual.weight
    notes = []
    if loss.critic.weight and loss.critic.detector:
        fixed.append(_make_critic(config))
        factors[fixed[-1].name] = loss.critic.weight
    elif loss.critic.weight:
        notes.append("loss.critic is off, since loss.critic.detector names no detector")
    terms |= {item.name: item.term for item in fixed}
    frozen = {item.name: item.variables for item in fixed}
    notes = [item.note for item in fixed] + notes
    return Objective(GeneratorObjective(terms, factors), frozen, notes)


def _make_perceptual(config: ConfigDict, platform: str) -> FixedTerm:
    """Returns the perceptual term, of imported or of random features."""
    options, settings = config.loss.perceptual, {}
    part = BackbonePart("backbone", options.backbone, "auto", "auto")
    found = None
    if options.file:
        found = read_backbone(options.file, part)
        if found.convention:
            settings = found.convention._asdict()
    compute = Compute(
        precision.compute_dtype(config.precision), resolve(config.lowering, platform=platform)
    )
    width = 1.0 if found else options.width
    maps = make_feature_maps(options.backbone, width=width, compute=compute, **settings)
    clips = jnp.zeros((1, 1, config.preprocess.size, config.preprocess.size, 3))
    if found is None:
        variables = jax.jit(maps.init)(jax.random.key(0), clips)
        name, features = RANDOM, "fixed random features"
        reason = ", since loss.perceptual.file names no parameters"
    else:
        variables = found.variables
        wanted = jax.eval_shape(maps.init, jax.random.key(0), clips)
        check_keys(
            flat_shapes(variables),
            flat_shapes(wanted),
            source=f"loss.perceptual.file={options.file}",
            network=f"the backbone {options.backbone}",
        )
        name, features, reason = "perceptual", f"features of {options.file}", ""
    note = f"loss.perceptual compares {features} ({options.backbone}){reason}"
    return FixedTerm(name, make_perceptual_term(maps.features, name), variables, note)


def _make_critic(config: ConfigDict) -> FixedTerm:
    """Returns the term of a fixed detector that the generator is to fool."""
    options = config.loss.critic
    path = options.detector
    saved = read_saved(path, model=options.model)
    if is_generator(saved.config):
        raise UsageError(f"loss.critic.detector={path} is a generator, not a detector")
    if saved.config.data.flow and not config.data.flow:
        raise UsageError(f"loss.critic.detector={path} reads optical flow: set data.flow=True")
    detector = assemble(saved, path)
    name = "critic"
    note = f"loss.critic is the detector {path} ({saved.config.name}, {saved.checkpoint})"
    term = make_critic_term(detector.apply, detector.preprocess, name)
    return FixedTerm(name, term, detector.variables, note)
