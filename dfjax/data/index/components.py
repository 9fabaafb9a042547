"""Finds connected components of videos that share people, recordings or groups.

If a split divides a component, a detector can recognise test videos by what it saw in training.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Int
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from dfjax.errors import unknown

Component = Int[np.ndarray, "N"]
Keys = tuple[np.ndarray, np.ndarray]
"""Positions of rows and the key of each. A row may occur several times."""


def find_components(
    index: pd.DataFrame, links: Sequence[str], *, within: np.ndarray | None = None
) -> Component:
    """Returns the number of the component of each row, counted from 0.

    Args:
        index: Index with one row per video.
        links: Kinds of links that connect two videos, names in `LINKS`: `pair` (a real video and
            the fakes made from it), `group`, `identity` or `origin` (one recording).
        within: One value per row, such as its split. Only rows with equal values are connected.

    Raises:
        UsageError: A link is unknown.
    """
    keys = []
    for name in links:
        if name not in LINKS:
            raise unknown("link between videos", name, LINKS)
        rows, values = LINKS[name](index)
        if within is not None:
            values = pd.MultiIndex.from_arrays([values, np.asarray(within)[rows]])
        keys.append((rows, values))
    return connect(len(index), keys)


def connect(n: int, keys: Sequence[tuple[np.ndarray, Any]]) -> Component:
    """Returns the component of each of `n` rows. Rows that share a key are connected.

    Args:
        n: Number of rows.
        keys: Tables of rows and keys. Equal keys of different tables are different keys.
    """
    rows, nodes, used = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)], n
    for places, values in keys:
        codes, distinct = pd.factorize(values)
        rows.append(places)
        nodes.append(used + codes)
        used += len(distinct)
    row, node = np.concatenate(rows), np.concatenate(nodes)
    graph = coo_array((np.ones(len(row), np.int8), (row, node)), shape=(used, used))
    _, component = connected_components(graph, directed=False)
    return pd.factorize(component[:n])[0].astype(np.int64)


def name_components(index: pd.DataFrame, component: Component) -> list[str]:
    """Returns the smallest `video_id` of each component, which does not depend on row order."""
    return index["video_id"].groupby(component).min().tolist()


def explode(index: pd.DataFrame, column: str) -> Keys:
    """Returns the entries of a list column and the positions of their rows."""
    lists = [_as_list(value) for value in index[column]]
    counts = np.fromiter(map(len, lists), np.int64, len(lists))
    flat = np.asarray([item for entries in lists for item in entries], dtype=object)
    return np.repeat(np.arange(len(lists)), counts), flat


def known(index: pd.DataFrame, column: str) -> Keys:
    """Returns the values of a column that are not null and the positions of their rows."""
    rows = np.flatnonzero(index[column].notna())
    return rows, index[column].to_numpy(dtype=object)[rows]


def _as_list(value: Any) -> list[Any]:
    """Returns a list for any list-like value, and an empty list for null.

    Null lists are None when read from Parquet and NaN in tables that are concatenated in memory.
    """
    return list(value) if isinstance(value, list | tuple | np.ndarray) else []


def _pair(index: pd.DataFrame) -> Keys:
    """Returns the ids of all videos and the `pair_id`s of fakes.

    Fakes of one real video are thus connected even if that video is missing.
    """
    rows, partners = known(index, "pair_id")
    own = index["video_id"].to_numpy(dtype=object)
    return np.concatenate([np.arange(len(index)), rows]), np.concatenate([own, partners])


LINKS: dict[str, Callable[[pd.DataFrame], Keys]] = {
    "pair": _pair,
    "group": lambda index: known(index, "group"),
    "identity": lambda index: explode(index, "identities"),
    "origin": lambda index: known(index, "origin_id"),
}
