"""Merges loaded parameters into the variables of a model and reports those that do not match."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import numpy as np

from dfjax.errors import UsageError

RGB = 3


class Merged(NamedTuple):
    """Variables of a model after merging.

    Attributes:
        variables: Merged variables, with the structure of the model's own.
        kept: Paths of the model that the loaded variables lack; these leaves keep their values.
        left_out: Paths of the loaded variables that the model lacks; these leaves are ignored.
    """

    variables: Any
    kept: tuple[str, ...]
    left_out: tuple[str, ...]


def merge(own: Mapping[str, Any], others: Mapping[str, Any], *, source: str) -> Merged:
    """Returns `own` with the value from `others` for every leaf that has the same path in both.

    The path of a leaf is its keys joined by slashes, `params/backbone/stem_conv/kernel`.

    Args:
        own: Variables of the model, as arrays or shapes.
        others: Loaded variables.
        source: Origin of `others` (a file or a workdir), for error messages.

    Raises:
        UsageError: Two leaves under one path differ in shape, or no path is common to both.
    """
    found, mine = _leaves(others), _leaves(own)
    common = [path for path in mine if path in found]
    if not common:
        raise UsageError(
            f"{source} has no parameter of this model: it has {_examples(found)}, and this model "
            f"has {_examples(mine)}"
        )
    for path in common:
        if found[path].shape != mine[path].shape:
            raise UsageError(
                f"{source}: {path} has the shape {tuple(found[path].shape)}, but in this model "
                f"{tuple(mine[path].shape)}; both models must have the same options (config.model)"
            )
    return Merged(
        jax.tree_util.tree_map_with_path(lambda path, leaf: found.get(_name(path), leaf), own),
        tuple(path for path in mine if path not in found),
        tuple(path for path in found if path not in mine),
    )


def add_channels(
    others: Mapping[str, Any], own: Mapping[str, Any], channels: int
) -> dict[str, Any]:
    """Returns loaded variables for RGB images with kernels that read further channels too.

    The kernels of the further channels are 0, so that the network computes at first what it would
    for RGB images alone, and are trained like the others.

    Args:
        others: Loaded variables. Kernels that have the model's number of channels are kept.
        own: Variables of the model, as arrays or shapes.
        channels: Number of channels of the images that the model reads.
    """
    mine = _leaves(own)

    def extend(path: tuple[Any, ...], leaf: Any) -> Any:
        wanted = mine[_name(path)].shape if _name(path) in mine else leaf.shape
        *lead, inputs, outputs = leaf.shape if leaf.ndim == 4 else (0, 0, 0, 0)
        if channels > RGB == inputs and tuple(wanted) == (*lead, channels, outputs):
            return np.pad(leaf, ((0, 0), (0, 0), (0, channels - RGB), (0, 0)))
        return leaf

    return dict(jax.tree_util.tree_map_with_path(extend, others))


def _leaves(tree: Mapping[str, Any]) -> dict[str, Any]:
    return {_name(path): leaf for path, leaf in jax.tree_util.tree_leaves_with_path(tree)}


def _name(path: tuple[Any, ...]) -> str:
    return jax.tree_util.keystr(path, simple=True, separator="/")


def _examples(leaves: dict[str, Any]) -> str:
    return f"{', '.join(list(leaves)[:2])} …"
