"""`BACKBONES`: every feature extractor, by name, with one signature."""

import dataclasses
import functools
from collections.abc import Callable

from flax import linen as nn

from dfjax.errors import UsageError, unknown
from dfjax.models.efficientnet import EfficientNet, feature_channels
from dfjax.models.layers import Compute
from dfjax.models.resnet import ResNet, resnet_channels
from dfjax.models.xception import Xception, xception_channels
from dfjax.ops.padding import FLAVOURS


@dataclasses.dataclass(frozen=True)
class Backbone:
    """A registered feature extractor.

    Attributes:
        make: gives the module, from `width`, `one_block`, `drop_path`, `padding`, `compute` and
            `name`.
        channels: gives the channels of its last map, from the multiplier of the widths.
        paddings: flavours that its weights exist in; the first one is that of its publication.
    """

    make: Callable[..., nn.Module]
    channels: Callable[[float], int]
    paddings: tuple[str, ...]


def _efficientnet(name: str, paddings: tuple[str, ...] = FLAVOURS) -> Backbone:
    make = functools.partial(EfficientNet, name)
    return Backbone(make, functools.partial(feature_channels, name), paddings)


def _resnet(name: str) -> Backbone:
    make = functools.partial(ResNet, name)
    return Backbone(make, functools.partial(resnet_channels, name), ("symmetric", "same"))


BACKBONES = {
    "b0": _efficientnet("b0"),
    "b1": _efficientnet("b1"),
    "b2": _efficientnet("b2"),
    "b3": _efficientnet("b3"),
    "b4": _efficientnet("b4"),
    "b5": _efficientnet("b5"),
    "b6": _efficientnet("b6"),
    "b7": _efficientnet("b7"),
    "v2s": _efficientnet("v2s", ("same", "symmetric")),
    "xception": Backbone(Xception, xception_channels, ("same", "symmetric")),
    "resnet18": _resnet("resnet18"),
    "resnet34": _resnet("resnet34"),
    "resnet50": _resnet("resnet50"),
}


def make_backbone(
    name: str,
    *,
    width: float = 1.0,
    one_block: bool = False,
    drop_path: float = 0.0,
    padding: str = "auto",
    compute: Compute,
    module_name: str | None = None,
) -> nn.Module:
    """Returns the feature extractor `name`: `module(images, mask, *, train) -> {endpoint: maps}`.

    The endpoints are `stem`, `stage1` … and `top`, f32 or bf16 [n, h, w, c]; `mask` bool[n] says
    which images count in the batch statistics, None: all.

    Args:
        name: a key of `BACKBONES`.
        width: multiplies every width, for small models.
        one_block: one block per stage, for small models.
        drop_path: stochastic depth of the last residual block; the rate grows linearly from 0.
        padding: flavour of `dfjax.ops.padding`; `auto`: the architecture's own.
        compute: dtype and lowering.
        module_name: name of the module, the first part of its parameters' paths.

    Raises:
        UsageError: an unknown name, or a padding that this architecture does not exist in.
    """
    return find_backbone(name, padding).make(
        width=width,
        one_block=one_block,
        drop_path=drop_path,
        padding=BACKBONES[name].paddings[0] if padding == "auto" else padding,
        compute=compute,
        name=module_name,
    )


def backbone_channels(name: str, width: float = 1.0) -> int:
    """Returns the channels of the last map of `name`: 1792 for `b4`, 512 for `resnet18`.

    Raises:
        UsageError: the name is unknown.
    """
    return find_backbone(name).channels(width)


def find_backbone(name: str, padding: str = "auto") -> Backbone:
    """Returns the entry `name` of `BACKBONES`, for checking a model's options before it is built.

    Raises:
        UsageError: an unknown name, or a padding that this architecture does not exist in.
    """
    if name not in BACKBONES:
        raise unknown("backbone", name, BACKBONES)
    backbone = BACKBONES[name]
    if padding not in ("auto", *backbone.paddings):
        valid = ", ".join(("auto", *backbone.paddings))
        raise UsageError(f"{name} has no padding {padding!r}; valid: {valid}")
    return backbone
