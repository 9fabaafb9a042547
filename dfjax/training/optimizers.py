"""Optimisers as Optax chains: clip by global norm, then the update rule."""

import optax

from dfjax.errors import unknown

OPTIMIZERS = ("adam",)


def make_tx(
    name: str, schedule: optax.Schedule, *, b1: float, b2: float, eps: float, clip_norm: float
) -> optax.GradientTransformation:
    """Returns the gradient transformation; `clip_norm` 0 clips nothing.

    The state is a dict with the names of the parts, which makes it a readable public format.

    Raises:
        UsageError: the name is unknown.
    """
    if name not in OPTIMIZERS:
        raise unknown("optimizer", name, OPTIMIZERS)
    clip = optax.clip_by_global_norm(clip_norm) if clip_norm else optax.identity()
    return optax.named_chain(
        ("clip", clip),
        ("adam", optax.scale_by_adam(b1, b2, eps)),
        ("learning_rate", optax.scale_by_learning_rate(schedule)),
    )
