"""The network that weights are for: its parameters, and where its backbone is among them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp

from dfjax.errors import UsageError, unknown
from dfjax.models import build
from dfjax.models.backbones import BACKBONES, find_backbone, make_backbone
from dfjax.models.bn_constants import AUTO, parse_bn
from dfjax.models.efficientnet import SCALING
from dfjax.models.layers import TF_BN, BNConstants, Compute
from dfjax.models.registry import find_backbones, input_shapes
from dfjax.models.resnet import DEPTHS
from dfjax.shapes import Variables
from dfjax.weights.convention import Convention
from dfjax.weights.key_map import Shape

SIDE = 224  # pixels of the images that the shapes are computed with


@dataclass(frozen=True)
class Target:
    """A network.

    Attributes:
        name: Name of the architecture: a key of `BACKBONES`, or of `MODELS` for a detector without
            a backbone of its own.
        shapes: Shapes of all parameters and batch statistics by path with dots.
        prefix: Name of the backbone's module with a dot, where the backbone is part of a detector,
            otherwise an empty text.
    """

    name: str
    shapes: Mapping[str, Shape]
    prefix: str = ""


def backbone_target(name: str, **options: Any) -> Target:
    """Returns a bare backbone.

    Args:
        name: Key of `BACKBONES`.
        options: Options of `make_backbone`, for small networks.

    Raises:
        UsageError: The name is unknown.
    """
    if name not in BACKBONES:
        raise unknown("backbone", name, BACKBONES)
    module = make_backbone(name, compute=Compute(), **options)
    images = jax.ShapeDtypeStruct((1, SIDE, SIDE, 3), jnp.float32)
    shapes = jax.eval_shape(
        lambda images: module.init(jax.random.key(0), images, None, train=False), images
    )
    return Target(name, flat_shapes(shapes))


def detector_target(model: str, options: Mapping[str, Any], *, size: int) -> Target:
    """Returns a detector.

    Args:
        model: Key of `MODELS`.
        options: Options of the model.
        size: Side of the frames in pixels.

    Raises:
        UsageError: An option is invalid, or the detector has several backbones.
    """
    fns = build(model, **options)
    inputs = input_shapes(model, size, 1, 2, **options)
    shapes = flat_shapes(jax.eval_shape(fns.init, jax.random.key(0), inputs))
    parts = find_backbones(model, **options)
    if len(parts) > 1:
        raise UsageError(
            f"{model} has several backbones ({', '.join(parts)}): import each by the name of its "
            "architecture, and start from the files with init.*"
        )
    for part in parts.values():
        return Target(part.name, shapes, f"{part.part}.")
    return Target(model, shapes)


def flat_shapes(variables: Variables) -> dict[str, Shape]:
    """Returns the shapes of nested variables by path with dots."""
    leaves = jax.tree_util.tree_leaves_with_path(variables)
    return {
        jax.tree_util.keystr(path, simple=True, separator="."): tuple(leaf.shape)
        for path, leaf in leaves
    }


def own_convention(name: str, options: Mapping[str, Any]) -> Convention:
    """Returns the padding and the constants of batch normalisation of a network of ours.

    Args:
        name: Architecture of a `Target`.
        options: Options of the detector, or of `make_backbone`.
    """
    padding = options.get("padding", AUTO)
    if padding == AUTO:
        padding = find_backbone(name).paddings[0] if name in BACKBONES else "same"
    return Convention(padding, parse_bn(options.get("bn", AUTO)) or _published_bn(name))


def _published_bn(name: str) -> BNConstants | None:
    if name in SCALING:
        return SCALING[name].bn
    if name in DEPTHS:
        return DEPTHS[name].bn
    return None if name in BACKBONES and not BACKBONES[name].has_bn else TF_BN
