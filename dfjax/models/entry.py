"""`Entry`: everything that belongs to one registered model, and the types of its fields."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from flax import linen as nn
from jax.sharding import PartitionSpec

from dfjax.shapes import Variables

Options = Mapping[str, Any]
"""Every option of a model by name: the fields of its module, with the values that are set."""

Rules = Sequence[tuple[str, PartitionSpec]]
"""Sharding rules: pairs of a pattern of the parameter's path and how its last dimensions split."""


class Summary(NamedTuple):
    """Size of a model.

    Attributes:
        parameters: Number of parameters; which of them are trained is up to the optimiser.
        statistics: Number of running statistics.
        input: Shape of every input for one clip, `{"hq": (1, 10, 224, 224, 3), …}`.
        flops: Arithmetic of one clip in evaluation, 2 per multiply-add.
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
        title: First line.
        shape: Shape of the part's output, as text.
        params: Number of parameters; 0 is not shown.
        kind: `data`, `backbone`, `temporal`, `fusion` or `head`.
    """

    key: str
    title: str
    shape: str
    params: int
    kind: str


Block = Sequence[Sequence[Box]]
"""Chains of boxes, one below the other."""

Layout = Callable[[Options, Summary], list[Block]]
"""`layout(options, summary)` returns the diagram's blocks from left to right."""


def read_rgb(options: Options, size: int) -> dict[str, int]:
    """Returns the default streams: the frames alone, called `rgb`, at the config's size."""
    del options
    return {"rgb": size}


@dataclasses.dataclass(frozen=True)
class Entry:
    """A registered model.

    Attributes:
        module: Linen module class, `module(inputs, *, train) -> (logits, outputs)`; its fields are
            the model's options.
        layout: Layout of its diagram.
        streams: `streams(options, size)` returns the side of every image stream in pixels, the
            stream of the frames themselves first.
        extras: `extras(options)` returns the names of the inputs besides image streams and mask:
            `flow`; `features` are stored ones that replace all image streams and whose width is
            the option `features`.
        check: `check(options)` raises a `UsageError` for options that contradict each other.
        sharding: How the parameters are split over a mesh; empty: they cannot be.
    """

    module: type[nn.Module]
    layout: Layout
    streams: Callable[[Options, int], dict[str, int]] = read_rgb
    extras: Callable[[Options], tuple[str, ...]] = lambda options: ()
    check: Callable[[Options], None] = lambda options: None
    sharding: Rules = ()
