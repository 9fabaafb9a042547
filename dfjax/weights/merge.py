"""Parameters from elsewhere take the places of a model's own; what does not fit is told."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import jax

from dfjax.errors import UsageError


class Merged(NamedTuple):
    """A model's variables after taking in others.

    Attributes:
        variables: the structure of the model's own.
        kept: paths of the model that the others do not have; they keep their own values.
        left_out: paths of the others that the model does not have.
    """

    variables: Any
    kept: tuple[str, ...]
    left_out: tuple[str, ...]


def merge(own: Mapping[str, Any], others: Mapping[str, Any], *, source: str) -> Merged:
    """Returns `own` with every leaf replaced that `others` has under the same path.

    A leaf's path is its keys joined by slashes, `params/backbone/stem_conv/kernel`.

    Args:
        own: variables of the model, arrays or shapes.
        others: variables from elsewhere.
        source: where they come from, for messages.

    Raises:
        UsageError: two leaves under one path differ in shape, or no path is common to both.
    """
    found, mine = _leaves(others), _leaves(own)
    common = [path for path in mine if path in found]
    if not common:
        raise UsageError(
            f"{source} has no parameter of this model: it has {_examples(found)}, this model "
            f"{_examples(mine)}"
        )
    for path in common:
        if found[path].shape != mine[path].shape:
            raise UsageError(
                f"{source}: {path} has the shape {tuple(found[path].shape)}, in this model it is "
                f"{tuple(mine[path].shape)}; give both models the same options (config.model)"
            )
    return Merged(
        jax.tree_util.tree_map_with_path(lambda path, leaf: found.get(_name(path), leaf), own),
        tuple(path for path in mine if path not in found),
        tuple(path for path in found if path not in mine),
    )


def _leaves(tree: Mapping[str, Any]) -> dict[str, Any]:
    return {_name(path): leaf for path, leaf in jax.tree_util.tree_leaves_with_path(tree)}


def _name(path: tuple[Any, ...]) -> str:
    return jax.tree_util.keystr(path, simple=True, separator="/")


def _examples(leaves: dict[str, Any]) -> str:
    return f"{', '.join(list(leaves)[:2])} …"
