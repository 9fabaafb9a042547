"""Maps of a fixed backbone, by which perceptual losses compare images."""

import functools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from flax import linen as nn
from jaxtyping import Array, Key

from dfjax.models.backbones import make_backbone
from dfjax.models.bn_constants import AUTO
from dfjax.models.initializers import one_draw
from dfjax.models.layers import Compute
from dfjax.models.vgg import VGG16
from dfjax.shapes import ClipF32, Variables

MAPS = 4
"""Number of maps that are compared; those of `vgg16` are relu1_2, relu2_2, relu3_3 and relu4_3."""

IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
"""Mean and standard deviation of RGB channels, for values in [0, 1]."""


class FeatureMaps(NamedTuple):
    """A backbone as two pure functions.

    Attributes:
        init: Function `init(rng, clips) -> variables`.
        features: Function `features(variables, clips) -> maps`, a list of f32[B,T,h,w,C] of clips
            with values in [-1, 1].
    """

    init: Callable[[Key[Array, ""], ClipF32], Variables]
    features: Callable[[Any, ClipF32], list[Array]]


def make_feature_maps(
    backbone: str,
    *,
    width: float = 1.0,
    padding: str = AUTO,
    bn: str = AUTO,
    mean: Sequence[float] = IMAGENET[0],
    std: Sequence[float] = IMAGENET[1],
    compute: Compute,
) -> FeatureMaps:
    """Returns the largest maps of a backbone in evaluation mode: the last of each of four sizes.

    Args:
        backbone: Key of `BACKBONES`, or an import path.
        width: Factor of all channel counts, for random parameters.
        padding: Padding rule of its parameters.
        bn: Constants of its batch normalisation.
        mean: Mean of each channel that its parameters expect, for values in [0, 1].
        std: Standard deviation of each channel.
        compute: Dtype and lowering.

    Raises:
        UsageError: The name is unknown, or the backbone has no such padding or constants.
    """
    if backbone == "vgg16":
        network: nn.Module = VGG16(width=width, before_pooling=True, compute=compute)
    else:
        network = make_backbone(backbone, width=width, padding=padding, bn=bn, compute=compute)
    offset, scale = np.asarray(mean, np.float32), np.asarray(std, np.float32)

    def init(rng: Key[Array, ""], clips: ClipF32) -> Variables:
        images = clips.reshape(-1, *clips.shape[2:])
        variables: Any = one_draw(functools.partial(network.init, train=False), rng, images, None)
        return {name: variables.get(name, {}) for name in ("params", "batch_stats")}

    def features(variables: Variables, clips: ClipF32) -> list[Array]:
        images = ((clips + 1) / 2 - offset) / scale
        found: Any = network.apply(
            variables, images.reshape(-1, *clips.shape[2:]), None, train=False
        )
        by_size = {maps.shape[1]: maps for name, maps in found.items() if name != "top"}
        chosen = list(by_size.values())[:MAPS]
        return [maps.reshape(*clips.shape[:2], *maps.shape[1:]) for maps in chosen]

    return FeatureMaps(init, features)
