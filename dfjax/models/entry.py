"""`Entry`, the description of a registered model, and the types of its fields."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from flax import linen as nn
from jax.sharding import PartitionSpec

from dfjax.shapes import Variables

Options = Mapping[str, Any]
"""All options of a model by name, which are the fields of its module, with their values."""

Rules = Sequence[tuple[str, PartitionSpec]]
"""Sharding rules: pairs (regular expression of the path, sharding of the last dimensions)."""


ADAPTERS = "adapters"
"""Name of the part of `params` with the parameters of adapters (see `dfjax.models.adapters`)."""

LOW_RANK = "low_rank"
"""Name of the collection of matrices `down` and `up` whose products change kernels of layers."""


class Summary(NamedTuple):
    """Size of a model.

    Attributes:
        parameters: Number of parameters, trained or not.
        statistics: Number of running statistics.
        input: Shape of every input for one clip, `{"hq": (1, 10, 224, 224, 3), …}`.
        flops: Number of floating-point operations for one clip in evaluation, 2 per multiply-add.
        parts: Number of parameters of every top-level part.
        shapes: Output shape of every top-level part for that clip.
        variables: Shapes of all parameters and statistics.
    """

    parameters: int
    statistics: int
    input: dict[str, tuple[int, ...]]
    flops: int
    parts: dict[str, int]
    shapes: dict[str, tuple[int, ...]]
    variables: Variables


@dataclasses.dataclass(frozen=True)
class Box:
    """A part of a model in its diagram.

    Attributes:
        key: Identifier, unique in the diagram.
        title: First line of the text.
        shape: Shape of the output of the part, as text.
        params: Number of parameters; 0 is not shown.
        kind: `data`, `backbone`, `temporal`, `fusion` or `head`.
    """

    key: str
    title: str
    shape: str
    params: int
    kind: str


Block = Sequence[Sequence[Box]]
"""Chains of boxes that are drawn one below the other."""

Layout = Callable[[Options, Summary], list[Block]]
"""Function `layout(options, summary)` that returns the blocks of a diagram from left to right."""


class BackbonePart(NamedTuple):
    """A backbone of a model, for loading its parameters from a file.

    Attributes:
        part: First part of the paths of its parameters.
        name: Name of the architecture, a key of `BACKBONES` or an import path.
        padding: Its padding rule, by the options.
        bn: Its constants of batch normalisation, by the options.
        padding_key: Name of the option that sets its padding rule.
        bn_key: Name of the option that sets its constants.
        channels: Number of channels of its images. Files with parameters for the first three get
            zeros for the others.
    """

    part: str
    name: str
    padding: str
    bn: str
    padding_key: str = "padding"
    bn_key: str = "bn"
    channels: int = 3


def read_rgb(options: Options, size: int) -> dict[str, int]:
    """Returns the default streams: only the frames, called `rgb`, with sides of `size` pixels."""
    del options
    return {"rgb": size}


@dataclasses.dataclass(frozen=True)
class Entry:
    """A registered model.

    Attributes:
        module: Linen module class, called as `module(inputs, *, train) -> (logits, outputs)`. Its
            fields are the options of the model.
        generates: Whether the module is a generator, which returns restored clips
            f32[B,T,H,W,3] in [-1, 1] in place of logits.
        layout: Function that returns the layout of the diagram.
        streams: Function `streams(options, size)` that returns the sides of the image streams in
            pixels; the first stream is the frames themselves.
        extras: Function `extras(options)` that returns the names of the inputs besides image
            streams and mask: `flow`, names of `ops.views.VIEWS`, or `features` for stored features,
            which replace all image streams and have the width of the option `features`.
        backbones: Function `backbones(options)` that returns the backbones by the names of their
            streams.
        check: Function `check(options)` that raises a `UsageError` for invalid options.
        sharding: Sharding rules of the parameters; empty if they cannot be split.
    """

    module: type[nn.Module]
    layout: Layout
    streams: Callable[[Options, int], dict[str, int]] = read_rgb
    extras: Callable[[Options], tuple[str, ...]] = lambda options: ()
    backbones: Callable[[Options], dict[str, BackbonePart]] = lambda options: {}
    check: Callable[[Options], None] = lambda options: None
    sharding: Rules = ()
    generates: bool = False
