"""The key map of one network: every parameter of ours beside its key and layout elsewhere."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from dfjax.weights.key_table import Layer, Table, find_layers

Shape = tuple[int, ...]
Shapes = Mapping[str, Shape]
"""Shapes of parameters and batch statistics by their paths with dots."""

LEAVES = ("kernel", "scale", "bias", "mean", "var", "embedding")
"""The order of the weights of a layer in the files of torch and Keras."""

DEPTHWISE = ("depthwise", "depthwise_conv")


class Entry(NamedTuple):
    """One parameter.

    Attributes:
        ours: Our path, `params.backbone.stem_conv.kernel`.
        theirs: Key in the other program.
        shape: Our shape.
        axes: Our axes in their order; empty for vectors.
        channels: Channels of the flattened map that a dense kernel reads, or 0.
        reversed: Whether the other program stores the input channels in reverse.
        bias: Key of the bias that is subtracted from a running mean, or an empty text.
        lead: Number of axes of length 1 that the other program has before ours.
    """

    ours: str
    theirs: str
    shape: Shape
    axes: tuple[int, ...] = ()
    channels: int = 0
    reversed: bool = False
    bias: str = ""
    lead: int = 0

    def their_shape(self) -> Shape:
        """Returns the shape of the array in the other program."""
        shape = tuple(self.shape[axis] for axis in self.axes) if self.axes else self.shape
        return (1,) * self.lead + shape

    def to_theirs(self, array: np.ndarray) -> np.ndarray:
        """Returns our array in the layout of the other program."""
        if self.channels:  # [h * w * C, D] -> [C * h * w, D]
            pixels, width = self.shape[0] // self.channels, self.shape[1]
            array = array.reshape(pixels, self.channels, width).swapaxes(0, 1)
            array = array.reshape(self.shape)
        if self.reversed:
            array = array[:, :, ::-1]
        array = array.transpose(self.axes) if self.axes else array
        return np.ascontiguousarray(array).reshape(self.their_shape())

    def to_ours(self, array: np.ndarray) -> np.ndarray:
        """Returns an array of the other program in our layout, the inverse of `to_theirs`."""
        array = array.reshape(array.shape[self.lead :])
        array = array.transpose(np.argsort(self.axes)) if self.axes else array
        if self.reversed:
            array = array[:, :, ::-1]
        if self.channels:
            pixels, width = self.shape[0] // self.channels, self.shape[1]
            array = array.reshape(self.channels, pixels, width).swapaxes(0, 1)
            array = array.reshape(self.shape)
        return np.ascontiguousarray(array)


@dataclass(frozen=True)
class KeyMap:
    """The key map of one network, in both directions.

    Attributes:
        entries: Parameters that both have, in the order of the other program. Several entries may
            have the same key there: the program shares these weights.
        zeros: Parameters of ours that the program does not have; they are 0 in its files.
        unmapped: Parameters of ours that are unknown to the program.
        extras: Shapes of the keys that the program stores but does not use in this network.
        counters: Keys of the program's counters, which have no counterpart here.
        classifier: Prefixes of the keys of the original classifier.
        ignored: Pattern of the keys that are not weights.
    """

    entries: Sequence[Entry]
    zeros: tuple[str, ...]
    unmapped: tuple[str, ...]
    extras: Shapes
    counters: tuple[str, ...]
    classifier: tuple[str, ...]
    ignored: re.Pattern[str]


def make_key_map(
    table: Table, shapes: Shapes, *, prefix: str = "", rename: Callable[[str], str] = str
) -> KeyMap:
    """Returns the key map of a network.

    Args:
        table: Names of the architecture in the other program.
        shapes: Shapes of our parameters.
        prefix: Name of the backbone's module with a dot, or an empty text for a bare backbone.
        rename: Function that returns the key in the file for a key of the table.
    """
    groups: dict[str, dict[str, str]] = {}
    for key in shapes:
        path, _, weight = key.partition(".")[2].rpartition(".")
        groups.setdefault(path.removeprefix(prefix), {})[weight] = key
    entries: list[Entry] = []
    zeros: list[str] = []
    unmapped: list[str] = []
    counters: list[str] = []
    for layer in find_layers(table, groups):
        leaves = groups[layer.path]
        if layer.name is None:
            unmapped += leaves.values()
            continue
        is_norm = "scale" in leaves
        if "mean" in leaves and table.framework.counter:
            counters.append(rename(table.framework.key(layer.name, table.framework.counter)))
        for leaf, key in sorted(leaves.items(), key=lambda item: LEAVES.index(item[0])):
            if f"{layer.path}.{leaf}" in table.zeros:
                zeros.append(key)
            else:
                entry = _make_entry(table, layer, leaf, key, shapes[key], is_norm=is_norm)
                entries.append(
                    entry._replace(
                        theirs=rename(entry.theirs), bias=entry.bias and rename(entry.bias)
                    )
                )
    return KeyMap(
        tuple(entries),
        tuple(zeros),
        tuple(unmapped),
        {rename(key): shape for key, shape in table.extras.items()},
        tuple(counters),
        tuple(rename(key) for key in table.classifier),
        re.compile(table.framework.ignored),
    )


def make_identity(shapes: Shapes) -> KeyMap:
    """Returns the key map of files with our own names and layout."""
    entries = tuple(Entry(key, key, tuple(shape)) for key, shape in shapes.items())
    return KeyMap(entries, (), (), {}, (), (), re.compile("$^"))


def _make_entry(
    table: Table, layer: Layer, leaf: str, key: str, shape: Shape, *, is_norm: bool
) -> Entry:
    """Returns the entry of one parameter, with the keys of the table."""
    framework = table.framework
    name, last = layer.name or "", layer.path.rpartition(".")[2]
    if last in table.whole:
        return Entry(key, name, shape, lead=table.whole[last])
    if leaf == "kernel":
        kind = "dense" if len(shape) == 2 else "conv"
        kind = "depthwise" if last in DEPTHWISE else kind
        whole = framework.separator == "/" and "/" in name  # a row may name the kernel itself
        return Entry(
            key,
            name if whole else framework.key(name, framework.kernel),
            shape,
            framework.axes[kind],
            table.flattened.get(layer.path, 0),
            layer.path == table.reversed_input,
        )
    if not is_norm:
        return Entry(key, framework.key(name, framework.bias), shape)
    bias = ""
    if table.biases and leaf == "mean":
        bias = framework.key(f"{name.removesuffix('_bn')}_conv", framework.bias)
    return Entry(key, framework.key(name, framework.vectors[leaf]), shape, bias=bias)
