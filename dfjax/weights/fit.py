"""Finds the key map of a network in another program, and the wrapper whose names a file has."""

from collections.abc import Iterable
from typing import NamedTuple

from dfjax.weights.key_map import KeyMap, make_key_map
from dfjax.weights.origin import PLAIN, Network, Origin, Wrapper
from dfjax.weights.registry import ORIGINS, find_network
from dfjax.weights.target import Target

HEAD = "params.logits."
"""Beginning of the paths of the last layer of a detector."""


class Fit(NamedTuple):
    """A network of another program, the wrapper of its names, and the key map of both."""

    network: Network
    wrapper: Wrapper
    key_map: KeyMap


def usual_fit(origin: Origin, target: Target) -> Fit:
    """Returns the key map of the files that the program itself writes.

    Raises:
        UsageError: The program does not have the architecture.
    """
    return _make_fit(find_network(origin, target.name), origin.wrappers[0], target)


def best_fit(origin: Origin, target: Target, keys: Iterable[str]) -> Fit:
    """Returns the key map that has the most keys of a file.

    Args:
        origin: Program.
        target: Network.
        keys: Keys of the file.

    Raises:
        UsageError: The program does not have the architecture.
    """
    keys = set(keys)
    networks = [find_network(origin, target.name)]
    if target.name in origin.others:
        networks.append(origin.others[target.name])
    fits = [
        _make_fit(network, wrapper, target)
        for network in networks
        for wrapper in (*origin.wrappers, *_find_prefixes(origin, network, keys))
    ]
    return max(fits, key=lambda fit: len(keys & {entry.theirs for entry in fit.key_map.entries}))


def _make_fit(network: Network, wrapper: Wrapper, target: Target) -> Fit:
    key_map = make_key_map(
        network.table, target.shapes, prefix=target.prefix, rename=wrapper.rename
    )
    return Fit(network, wrapper, key_map)


def _find_prefixes(origin: Origin, network: Network, keys: set[str]) -> list[Wrapper]:
    """Returns wrappers for files whose keys all have the same unknown beginning."""
    weight = network.table.first_kernel()
    found = [key.removesuffix(weight) for key in keys if key.endswith(weight)]
    if PLAIN not in origin.wrappers:
        return []
    return [Wrapper(f"the prefix {prefix}", (("", prefix),)) for prefix in found if prefix]


def recognise(keys: Iterable[str]) -> list[str]:
    """Returns the programs that have a network whose first layer is in a file with these keys."""
    keys = set(keys)
    found = []
    for name, origin in ORIGINS.items():
        for network in origin.networks.values():
            weight = network.table.first_kernel()
            if any(wrapper.rename(weight) in keys for wrapper in origin.wrappers):
                found.append(name)
                break
    return found
