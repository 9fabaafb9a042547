"""The objective of a generator: the terms of its loss by name, and their factors."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from dfjax.losses.adversarial import Adversarial
from dfjax.losses.flow_consistency import flow_difference
from dfjax.losses.restoration import absolute_difference, feature_difference, frame_mean
from dfjax.shapes import Apply, ClipF32, Inputs, Preprocess

Features = Callable[[Any, ClipF32], list[Array]]
"""`features(variables, clips) -> maps` of a fixed network; clips have values in [-1, 1]."""


class Restored(NamedTuple):
    """What the terms of the loss of a generator are computed from.

    Attributes:
        clips: Restored clips, f32[B,T,H,W,3] in [-1, 1].
        patches: Patch logits of the discriminator of these clips, f32[B,T,h,w].
        inputs: `source`, `target`, `mask` and, where flow is read, `flow` and `flow_known`.
        frozen: Variables of the fixed networks by the name of their term.
    """

    clips: ClipF32
    patches: Float[Array, "B T _ _"]
    inputs: Inputs
    frozen: Mapping[str, Any]


Term = Callable[[Restored], Float[Array, "B"]]


class GeneratorObjective(NamedTuple):
    """The loss of a generator.

    Attributes:
        terms: Functions that return a value per clip, by the name of the term.
        factors: Factors of the terms.
    """

    terms: dict[str, Term]
    factors: dict[str, float]

    def compute(self, restored: Restored) -> dict[str, Float[Array, "B"]]:
        """Returns the terms of each clip by name, without their factors."""
        return {name: term(restored) for name, term in self.terms.items()}

    def add(self, terms: Mapping[str, Float[Array, "B"]]) -> Float[Array, "B"]:
        """Returns the loss of each clip: the sum of its terms multiplied by their factors."""
        return sum((self.factors[name] * value for name, value in terms.items()), jnp.zeros(()))


def restoration(restored: Restored) -> Float[Array, "B"]:
    """Returns the mean absolute difference to the targets."""
    inputs = restored.inputs
    return absolute_difference(restored.clips, inputs["target"], inputs["mask"])


def flow_consistency(restored: Restored) -> Float[Array, "B"]:
    """Returns how far restored clips deviate from the motion of their targets."""
    inputs = restored.inputs
    return flow_difference(restored.clips, inputs["flow"], inputs["mask"], inputs["flow_known"])


def make_adversarial_term(adversarial: Adversarial) -> Term:
    """Returns the loss of the generator by the patch logits of its clips."""

    def term(restored: Restored) -> Float[Array, "B"]:
        return frame_mean(adversarial.generator(restored.patches), restored.inputs["mask"])

    return term


def make_perceptual_term(features: Features, name: str) -> Term:
    """Returns the difference between the maps that a fixed network has of two clips.

    Args:
        features: Function that returns the maps.
        name: Name of the term in `Restored.frozen`.
    """

    def term(restored: Restored) -> Float[Array, "B"]:
        inputs, variables = restored.inputs, restored.frozen[name]
        return feature_difference(
            lambda clips: features(variables, clips),
            restored.clips,
            inputs["target"],
            inputs["mask"],
        )

    return term


def make_critic_term(apply: Apply, preprocess: Preprocess, name: str) -> Term:
    """Returns the cross-entropy of a fixed detector with the target "real".

    The clips reach the detector as its training data do: as pixel values in [0, 255], which its own
    preprocessing resizes and normalises. They are not rounded, so that gradients pass.

    Args:
        apply: Forward pass of the detector, in evaluation mode.
        preprocess: Preprocessing of the detector.
        name: Name of the term in `Restored.frozen`.
    """

    def term(restored: Restored) -> Float[Array, "B"]:
        batch = {"clip": 127.5 * (restored.clips + 1), "mask": restored.inputs["mask"]}
        batch |= {key: restored.inputs[key] for key in ("flow",) if key in restored.inputs}
        inputs = preprocess(batch, None, train=False)
        logits, _, _ = apply(restored.frozen[name], inputs, train=False, rngs=None)
        return jax.nn.softplus(logits)

    return term
