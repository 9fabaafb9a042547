"""Builds a backbone as a feature extractor, and joins it to a detector of stored features."""

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
from dfjax.ops.lowering import Lowering, resolve
from dfjax.shapes import Inputs, Logits, Variables

BACKBONE, STREAM = "backbone", "rgb"
"""First part of the paths of a backbone's parameters, and the name of its input stream."""


class FeatureFns(NamedTuple):
    """A frozen backbone as pure functions over plain nested dicts.

    Attributes:
        init: `init(rng, images) -> {"params": …, "batch_stats": …}`.
        apply: `apply(variables, images f32[n,s,s,3]) -> f32[n,D]`, the mean over the last feature
            map in evaluation mode.
    """

    init: Callable[[Key[Array, ""], Float[Array, "n s s 3"]], Variables]
    apply: Callable[[Variables, Float[Array, "n s s 3"]], Float[Array, "n D"]]


def build_backbone(
    name: str,
    *,
    width: float = 1.0,
    one_block: bool = False,
    padding: str = "auto",
    bn: str = "auto",
    lowering: str | Lowering = "auto",
    dtype: DTypeLike = jnp.float32,
) -> FeatureFns:
    """Returns the backbone `name` as pure functions.

    Args:
        name: Key of `BACKBONES`, or an import path.
        width: Factor of all channel counts.
        one_block: Whether each stage has a single block.
        padding: Padding rule of `dfjax.ops.padding`; `auto` is the architecture's own.
        bn: Constants of batch normalisation (see `bn_constants`); `auto` is the architecture's own.
        lowering: `auto`, `native` or `matmul`, resolved by this call, or a resolved lowering.
        dtype: Dtype of the activations. Parameters and features are float32.

    Raises:
        UsageError: The name, the padding, the constants or the lowering is unknown.
    """
    module = make_backbone(
        name,
        width=width,
        one_block=one_block,
        padding=padding,
        bn=bn,
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
    """Returns a detector that computes the features of `head` itself when the inputs lack them.

    Its variables are those of both parts, with the backbone's under `backbone` in each collection,
    as in a detector that was trained end to end. Its `init` is that of the head.

    Args:
        head: Detector that reads `features`.
        backbone: Backbone that the stored features come from. It reads the frames `rgb`
            f32[B,T,s,s,3] of inputs without `features`.
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
    """Returns the variables of the detector of `put_under`, given those of both parts."""
    return {name: dict(head[name]) | {BACKBONE: backbone[name]} for name in head}


def split_off(variables: Variables) -> tuple[dict[str, Any], dict[str, Any]]:
    """Returns the variables of the head and those of the backbone; the inverse of `join`."""
    above = {
        name: {key: tree for key, tree in variables[name].items() if key != BACKBONE}
        for name in variables
    }
    return above, {name: variables[name].get(BACKBONE, {}) for name in variables}
