"""Adversarial losses of a generator and its discriminator, value by value.

A logit is positive where the discriminator takes a patch for restored, as that of a detector is for
fakes.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from dfjax.errors import unknown

Values = Float[Array, "*patches"]


class Adversarial(NamedTuple):
    """An adversarial loss.

    Attributes:
        real: Loss of the discriminator by its logits of real patches.
        restored: Loss of the discriminator by its logits of restored patches.
        generator: Loss of the generator by the logits of restored patches.
    """

    real: Callable[[Values], Values]
    restored: Callable[[Values], Values]
    generator: Callable[[Values], Values]


ADVERSARIAL = {
    # Lim and Ye (2017), equation 6: margins of 1 for the discriminator, the logit for the generator
    "hinge": Adversarial(
        real=lambda logits: jax.nn.relu(1 + logits),
        restored=lambda logits: jax.nn.relu(1 - logits),
        generator=lambda logits: logits,
    ),
    # Mao et al. (2017): squared distances to 0 (real) and 1 (restored)
    "lsgan": Adversarial(
        real=jnp.square, restored=lambda logits: jnp.square(logits - 1), generator=jnp.square
    ),
    # Goodfellow et al. (2014): cross-entropies, of which the generator's does not saturate
    "bce": Adversarial(
        real=jax.nn.softplus,
        restored=lambda logits: jax.nn.softplus(-logits),
        generator=jax.nn.softplus,
    ),
}


def find_adversarial(kind: str) -> Adversarial:
    """Returns an adversarial loss by name.

    Raises:
        UsageError: The name is unknown.
    """
    if kind not in ADVERSARIAL:
        raise unknown("loss.adversarial.kind", kind, ADVERSARIAL)
    return ADVERSARIAL[kind]


def gradient_penalty(
    judge: Callable[[Float[Array, "B T H W 3"]], Float[Array, "B"]],
    real: Float[Array, "B T H W 3"],
) -> Float[Array, "B"]:
    """Returns half the squared norm of the gradient of each clip's logit by its pixels.

    It is R1 of Mescheder et al. (2018), equation 9, with the mean of the patch logits as logit and
    without the factor gamma.

    Args:
        judge: Function that returns the logit of each clip, which depends on this clip only.
        real: Real clips.
    """
    gradient = jax.grad(lambda clips: jnp.sum(judge(clips)))(real)
    return 0.5 * jnp.sum(jnp.square(gradient), axis=(1, 2, 3, 4))
