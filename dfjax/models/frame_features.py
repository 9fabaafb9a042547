"""A backbone as a function from images to vectors, alone or under a detector that reads those."""

import functools
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float, Key

from dfjax.models.backbones import make_backbone
from dfjax.models.initializers import one_draw
from dfjax.models.layers import Compute
from dfjax.models.model_fns import ModelFns
from dfjax.ops.lowering import resolve
from dfjax.shapes import Inputs, Logits, Variables

BACKBONE, STREAM = "backbone", "rgb"
"""The first part of the paths of a backbone's parameters, and the frames that it reads."""


class FeatureFns(NamedTuple):
    """A frozen backbone: pure functions over plain nested dicts.

    Attributes:
        init: `init(rng, images) -> {"params": …, "batch_stats": …}`.
        apply: `apply(variables, images f32[n,s,s,3]) -> f32[n,D]`, the mean over its last map, with
            moving averages.
    """

    init: Callable[[Key[Array, ""], Float[Array, "n s s 3"]], Variables]
    apply: Callable[[Variables, Float[Array, "n s s 3"]], Float[Array, "n D"]]


def build_backbone(
    name: str,
    *,
    width: float = 1.0,
    one_block: bool = False,
    padding: str = "auto",
    lowering: str = "auto",
    dtype: DTypeLike = jnp.float32,
) -> FeatureFns:
    """Returns the backbone `name` as pure functions.

    Args:
        name: a key of `BACKBONES`.
        width: multiplies every width.
        one_block: one block per stage.
        padding: flavour, `auto`: the architecture's own.
        lowering: `auto`, `native` or `matmul`, resolved here and now.
        dtype: of the activations; parameters and features are float32.

    Raises:
        UsageError: an unknown name, padding or lowering.
    """
    module = make_backbone(
        name,
        width=width,
        one_block=one_block,
        padding=padding,
        compute=Compute(dtype, resolve(lowering)),
    )

    def init(rng: Key[Array, ""], images: Float[Array, "n s s 3"]) -> Variables:
        variables = one_draw(functools.partial(module.init, train=False), rng, images, None)
        return {"params": variables["params"], "batch_stats": variables.get("batch_stats", {})}

    def apply(variables: Variables, images: Float[Array, "n s s 3"]) -> Float[Array, "n D"]:
        maps: Any = module.apply(variables, images, None, train=False)
        top = maps["top"] if isinstance(maps, Mapping) else maps
        return jnp.mean(top.astype(jnp.float32), axis=(1, 2))

    return FeatureFns(init, apply)


def put_under(head: ModelFns, backbone: FeatureFns) -> ModelFns:
    """Returns the detector that computes the features which `head` was trained on, where need be.

    Its variables are those of both, the backbone's under `backbone` in each collection, as in a
    detector that was trained end to end. `init` is that of the head.

    Args:
        head: reads `features`.
        backbone: what the stored features come from; it reads the frames `rgb` f32[B,T,s,s,3] of
            inputs without `features`.
    """

    def apply(
        variables: Variables, inputs: Inputs, *, train: bool, rngs: Mapping[str, Array] | None
    ) -> tuple[Logits, dict[str, Array], Mapping[str, Any]]:
        own, below = split_off(variables)
        if "features" not in inputs:
            clip = inputs[STREAM]
            b, t, *image = clip.shape
            features = backbone.apply(below, clip.reshape(b * t, *image)).reshape(b, t, -1)
            inputs = {k: v for k, v in inputs.items() if k != STREAM} | {"features": features}
        return head.apply(own, inputs, train=train, rngs=rngs)

    return ModelFns(head.init, apply)


def join(head: Variables, backbone: Variables) -> dict[str, Any]:
    """Returns the variables of `put_under` from those of both parts."""
    return {name: dict(head[name]) | {BACKBONE: backbone[name]} for name in head}


def split_off(variables: Variables) -> tuple[dict[str, Any], dict[str, Any]]:
    """Returns the variables of everything above the backbone, and of the backbone alone."""
    above = {
        name: {key: tree for key, tree in variables[name].items() if key != BACKBONE}
        for name in variables
    }
    return above, {name: variables[name].get(BACKBONE, {}) for name in variables}
