"""Tables of names: how the layers of an architecture are called in another program.

A table is data. It maps the path of one of our layers, in which `stage3_block2` is replaced by the
kind of the block, to a template for the other name:

    {"stem_conv": "conv_stem", "mbconv.expand_conv": "blocks.{s_0}.{b_0}.conv_pw", …}

The kinds are `mbconv` and `mbconv1` (without expansion), `fused` and `fused1`, and `block` for the
other architectures; `first` is looked up before for the first block. Fields of a template: `s` and
`b`, the stage and the position of the block in it; `n`, its number in the network; `letter`, `a`
for the first position. They count from 1; `s_0` counts the stages from 0, `s_4` from 4.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

BLOCK = re.compile(r"stage(\d+)_block(\d+)\.(.+)")


@dataclass(frozen=True)
class Framework:
    """How a framework names and lays out the weights of a layer.

    Attributes:
        separator: Text between the name of a layer and that of a weight.
        vectors: Names of the vectors of batch normalisation, by ours.
        kernel: Name of a kernel.
        bias: Name of the bias of other layers.
        axes: Order of our axes in the arrays of the framework, by kind of kernel: `conv`,
            `depthwise` and `dense`.
        counter: Name of the counter of batches in batch normalisation, or an empty text.
        ignored: Pattern of the keys that are not weights.
    """

    separator: str
    vectors: Mapping[str, str]
    kernel: str
    bias: str
    axes: Mapping[str, tuple[int, ...]]
    counter: str
    ignored: str

    def key(self, layer: str, weight: str) -> str:
        """Returns the key of a weight of a layer."""
        return f"{layer}{self.separator}{weight}"


TORCH = Framework(
    ".",
    {"scale": "weight", "bias": "bias", "mean": "running_mean", "var": "running_var"},
    "weight",
    "bias",
    {"conv": (3, 2, 0, 1), "depthwise": (3, 2, 0, 1), "dense": (1, 0)},
    "num_batches_tracked",
    r"\.num_batches_tracked$",
)
KERAS = Framework(
    "/",
    {"scale": "gamma", "bias": "beta", "mean": "moving_mean", "var": "moving_variance"},
    "kernel",
    "bias",
    {"conv": (0, 1, 2, 3), "depthwise": (0, 1, 3, 2), "dense": (0, 1)},
    "",
    r"^normalization(_\d+)?/",
)


@dataclass(frozen=True)
class Table:
    """Names of one architecture in another program.

    Attributes:
        framework: Framework of the program.
        layers: Templates by path of our layer, in the order in which the program stores them.
        classifier: Prefixes of the keys of the original classifier, which backbones do not have.
        biases: Whether convolutions before a batch normalisation have a bias there. It is
            subtracted from the running mean, which has the same effect. The layers are then called
            `NAME_conv` and `NAME_bn`.
        reversed_input: Layer whose input channels are stored in the order blue, green, red.
        zeros: Our parameters that the program does not have; they are 0 in its files.
        flattened: Our dense layers that read a flattened map, with its channels. The program
            flattens the channels first, dfjax last.
        whole: Our layers whose row is the key of their only parameter, by the last part of their
            path, with the number of axes of length 1 that the program has before those of ours.
        extras: Shapes of weights that the program stores but does not use in this network.
    """

    framework: Framework
    layers: Mapping[str, str]
    classifier: tuple[str, ...] = ()
    biases: bool = False
    reversed_input: str = ""
    zeros: tuple[str, ...] = ()
    flattened: Mapping[str, int] = field(default_factory=dict)
    whole: Mapping[str, int] = field(default_factory=dict)
    extras: Mapping[str, tuple[int, ...]] = field(default_factory=dict)

    def first_kernel(self) -> str:
        """Returns the key of the kernel of the first layer, by which files are recognised."""
        return self.framework.key(next(iter(self.layers.values())), self.framework.kernel)


class Layer(NamedTuple):
    """One of our layers and its other name.

    Attributes:
        path: Our path below the backbone, `stage1_block1.se.reduce`.
        name: Name in the other program, or None where the table has none.
        order: Sort key that gives the order of the other program.
    """

    path: str
    name: str | None
    order: tuple[int, int]


def find_layers(table: Table, paths: Iterable[str]) -> list[Layer]:
    """Returns the other names of layers, in the order of the other program.

    Args:
        table: Table of the architecture.
        paths: Paths of our layers below the backbone.
    """
    paths = list(paths)
    blocks: dict[tuple[int, int], set[str]] = {}
    for path in paths:
        if match := BLOCK.fullmatch(path):
            key = int(match[1]), int(match[2])
            blocks.setdefault(key, set()).add(match[3])
    numbers = {key: number for number, key in enumerate(sorted(blocks), 1)}
    rows = {row: position for position, row in enumerate(table.layers)}
    in_blocks = [rows[row] for row in rows if "." in row and row.split(".")[0] in KINDS]
    first_row = min(in_blocks, default=len(rows))

    def find(path: str) -> Layer:
        match = BLOCK.fullmatch(path)
        if not match:
            position = rows.get(path, len(rows))
            group = 0 if position < first_row else len(numbers) + 1
            return Layer(path, table.layers.get(path), (group, position))
        key, part = (int(match[1]), int(match[2])), match[3]
        number = numbers[key]
        kinds = ("first", _kind(blocks[key])) if number == 1 else (_kind(blocks[key]),)
        row = next((f"{kind}.{part}" for kind in kinds if f"{kind}.{part}" in rows), None)
        if row is None:
            return Layer(path, None, (number, len(rows)))
        return Layer(path, table.layers[row].format(**_fields(key, number)), (number, rows[row]))

    return sorted((find(path) for path in paths), key=lambda layer: layer.order)


KINDS = ("mbconv", "mbconv1", "fused", "fused1", "block", "first")


def _kind(parts: set[str]) -> str:
    kind = "mbconv" if "depthwise_conv" in parts else "fused" if "project_conv" in parts else ""
    return (kind if "expand_conv" in parts else f"{kind}1") if kind else "block"


def _fields(key: tuple[int, int], number: int) -> dict[str, int | str]:
    (stage, position) = key
    counts = {"s": stage, "b": position, "n": number}
    fields: dict[str, int | str] = {"letter": chr(ord("a") + position - 1)}
    for name, count in counts.items():
        fields |= {name: count} | {f"{name}_{first}": count + first - 1 for first in range(5)}
    return fields
