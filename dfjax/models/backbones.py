"""`BACKBONES`: the feature extractors by name, all with the same signature.

A backbone from outside the package is named by its import path, `my_package.nets:MyNet`. It is a
Linen class with

    def __call__(self, images, mask, *, train):  # f32[n, H, W, 3], bool[n] or None
        ...
        return maps  # [n, h, w, C]; or {endpoint: maps} in order, the last one called "top"

Images have further channels where a model adds `streams` to RGB.
`mask` marks the images that count in batch statistics; None means all. The other images must not
affect the result. Fields called `width`, `one_block`, `drop_path`, `padding`, `bn` (`BNConstants`)
or `compute` are set to the options of these names; options without a field are ignored, except an
explicit `bn`.
"""

import dataclasses
import functools
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array, Key

from dfjax.errors import UsageError, unknown
from dfjax.import_paths import is_import_path
from dfjax.models.bn_constants import AUTO, parse_bn
from dfjax.models.custom import find_module
from dfjax.models.efficientnet import EfficientNet, feature_channels
from dfjax.models.layers import Compute
from dfjax.models.options import instantiate
from dfjax.models.resnet import CAFFE, ResNet, resnet_channels
from dfjax.models.vgg import VGG16, vgg_channels
from dfjax.models.vit import VisionTransformer
from dfjax.models.vit_variants import VARIANTS, vit_channels
from dfjax.models.xception import Xception, xception_channels
from dfjax.ops.padding import FLAVOURS

BACKBONE_CONTRACT = "a backbone is one whose __call__(self, images, mask, *, train) returns maps"


@dataclasses.dataclass(frozen=True)
class Backbone:
    """A registered feature extractor.

    Attributes:
        make: Function that returns the module, given `width`, `one_block`, `drop_path`, `padding`,
            `compute`, `name` and, if they are not the publication's, the constants `bn`.
        channels: Function that returns the number of channels of the last map, given `width`.
        paddings: Padding rules for which there are weights; the first one is the original.
        has_bn: Whether there is batch normalisation whose constants can be chosen.
        patch: Side of the patches in pixels, of which the side of the input is a multiple; 1 for
            convolutional networks, and then all sizes are possible.
        scans: Whether the blocks are alike and can be a scan (`scan_blocks`).
    """

    make: Callable[..., nn.Module]
    channels: Callable[[float], int]
    paddings: tuple[str, ...]
    has_bn: bool = True
    patch: int = 1
    scans: bool = False


def _efficientnet(name: str, paddings: tuple[str, ...] = FLAVOURS) -> Backbone:
    make = functools.partial(EfficientNet, name)
    return Backbone(make, functools.partial(feature_channels, name), paddings)


def _resnet(name: str, *more: str) -> Backbone:
    make = functools.partial(ResNet, name)
    return Backbone(make, functools.partial(resnet_channels, name), ("symmetric", "same", *more))


def _vgg(*, drop_path: float, padding: str, **options: Any) -> nn.Module:
    del drop_path, padding  # no residual branches; all rules pad a convolution of stride 1 alike
    return VGG16(**options)


def _vit(name: str) -> Backbone:
    def make(*, padding: str, **options: Any) -> nn.Module:
        del padding  # patches do not overlap and are not padded
        return VisionTransformer(name, **options)

    channels, patch = functools.partial(vit_channels, name), VARIANTS[name].patch
    return Backbone(make, channels, ("same",), has_bn=False, patch=patch, scans=True)


BACKBONES = {
    "b0": _efficientnet("b0"),
    "b1": _efficientnet("b1"),
    "b2": _efficientnet("b2"),
    "b3": _efficientnet("b3"),
    "b4": _efficientnet("b4"),
    "b5": _efficientnet("b5"),
    "b6": _efficientnet("b6"),
    "b7": _efficientnet("b7"),
    "lite0": _efficientnet("lite0", ("same", "symmetric", "static")),
    "lite1": _efficientnet("lite1", ("same", "symmetric", "static")),
    "lite2": _efficientnet("lite2", ("same", "symmetric", "static")),
    "v2s": _efficientnet("v2s", ("same", "symmetric")),
    "xception": Backbone(Xception, xception_channels, ("same", "symmetric")),
    "resnet18": _resnet("resnet18"),
    "resnet34": _resnet("resnet34"),
    "resnet50": _resnet("resnet50"),
    "resnet50_v1": _resnet("resnet50_v1", CAFFE),
    "vgg16": Backbone(_vgg, vgg_channels, FLAVOURS[:3], has_bn=False),
    **{name: _vit(name) for name in VARIANTS},
}


def _custom(path: str) -> Backbone:
    """Returns the entry of a backbone that is given by import path."""
    module = find_module(path, BACKBONE_CONTRACT)
    names = {field.name for field in dataclasses.fields(module)}

    def make(*, padding: str, compute: Compute, name: str | None, **options: Any) -> nn.Module:
        given = options if padding == AUTO else options | {"padding": padding}
        kept = {key: value for key, value in given.items() if key in names}
        return instantiate(module, kept | {"name": name}, compute)

    def channels(width: float) -> int:
        network = make(width=width, padding=AUTO, compute=Compute(), name=None)

        def run(rng: Key[Array, ""], images: Array, mask: Array) -> Array:
            maps, _ = network.init_with_output(rng, images, mask, train=False)
            return maps["top"] if isinstance(maps, Mapping) else maps

        images = jax.ShapeDtypeStruct((1, 224, 224, 3), jnp.float32)
        mask = jax.ShapeDtypeStruct((1,), jnp.bool_)
        return jax.eval_shape(run, jax.random.key(0), images, mask).shape[-1]

    return Backbone(make, channels, (AUTO, *FLAVOURS), has_bn="bn" in names)


def make_backbone(
    name: str,
    *,
    width: float = 1.0,
    one_block: bool = False,
    drop_path: float = 0.0,
    padding: str = AUTO,
    bn: str = AUTO,
    scan_blocks: bool = False,
    compute: Compute,
    module_name: str | None = None,
) -> nn.Module:
    """Returns the module `name`, called as `module(images, mask, *, train) -> {endpoint: maps}`.

    The endpoints are `stem`, `stage1` … and `top`, f32 or bf16 [n, h, w, c]. `mask` bool[n] marks
    the images that count in the batch statistics; None means all.

    Args:
        name: Key of `BACKBONES`, or an import path.
        width: Factor of all channel counts, for small models.
        one_block: Whether each stage has a single block, for small models.
        drop_path: Stochastic depth rate of the last residual block; the rate grows linearly from 0.
        padding: Padding rule of `dfjax.ops.padding`; `auto` is the architecture's own.
        bn: Constants of batch normalisation (see `bn_constants`); `auto` is the architecture's own.
        scan_blocks: Whether the blocks of a vision transformer are one `jax.lax.scan`, which
            compiles one block for all; parameters and results are the same.
        compute: Dtype and lowering.
        module_name: Name of the module, the first part of the paths of its parameters.

    Raises:
        UsageError: The name is unknown, its class is not a backbone, or the architecture does not
            support the padding, the constants or `scan_blocks`.
    """
    backbone = find_backbone(name, padding, bn, scan_blocks=scan_blocks)
    constants = parse_bn(bn)
    changed: dict[str, Any] = {"bn": constants} if constants else {}
    if scan_blocks:
        changed["scan_blocks"] = True
    return backbone.make(
        width=width,
        one_block=one_block,
        drop_path=drop_path,
        padding=backbone.paddings[0] if padding == AUTO else padding,
        compute=compute,
        name=module_name,
        **changed,
    )


def backbone_channels(name: str, width: float = 1.0) -> int:
    """Returns the channels of the last map of `name`: 1792 for `b4`, 512 for `resnet18`.

    Raises:
        UsageError: The name is unknown, or its class is not a backbone.
    """
    return find_backbone(name).channels(width)


def find_backbone(
    name: str, padding: str = AUTO, bn: str = AUTO, *, scan_blocks: bool = False
) -> Backbone:
    """Returns the entry of a backbone, after checking its name and options.

    Args:
        name: Key of `BACKBONES`, or an import path.
        padding: Padding rule of `dfjax.ops.padding`, or `auto`.
        bn: Constants of batch normalisation (see `bn_constants`), or `auto`.
        scan_blocks: Whether its blocks are to be a scan.

    Raises:
        UsageError: The name is unknown, its class is not a backbone, or the architecture does not
            support the padding, the constants or `scan_blocks`.
    """
    if is_import_path(name):
        backbone = _custom(name)
    elif name in BACKBONES:
        backbone = BACKBONES[name]
    else:
        raise unknown("backbone", name, BACKBONES)
    if padding not in (AUTO, *backbone.paddings):
        valid = ", ".join((AUTO, *backbone.paddings))
        raise UsageError(f"{name} does not support padding {padding!r}; valid: {valid}")
    if parse_bn(bn) and not backbone.has_bn:
        raise UsageError(f"{name} has no batch normalisation to set: bn must be auto, not {bn!r}")
    if scan_blocks and not backbone.scans:
        raise UsageError(f"scan_blocks is for vision transformers, not for {name}")
    return backbone
