"""Finds the weights in the content of a file: wrappers, EMA copies and prefixes of keys."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from dfjax.errors import UsageError, unknown

EMA = ("state_dict_ema", "ema_state_dict", "model_ema", "ema_model", "ema", "module_ema")
USUAL = ("state_dict", "model_state_dict", "model", "net", "network", "encoder", "backbone")
OPTIMISERS = ("optim", "opt", "sched", "scaler", "amp")
PREFIXES = ("module.", "_orig_mod.", "model.")
MAX_DEPTH = 4


class Entries(NamedTuple):
    """The weights of a file.

    Attributes:
        arrays: Arrays by key.
        notes: What was recognised, for the report.
    """

    arrays: dict[str, np.ndarray]
    notes: tuple[str, ...]


def find_weights(content: Mapping[str, Any], *, source: str, entry: str | None = None) -> Entries:
    """Returns the weights in the content of a file.

    A checkpoint may have them in an entry such as `state_dict`, `model` or `net`; a copy averaged
    over the training (EMA) is preferred. Prefixes that all keys share because of the way of
    training (`module.`) are removed.

    Args:
        content: Content of the file: arrays, or dicts of them.
        source: Name of the file, for messages.
        entry: Path of the entry with dots, `ema.module`, or None to find it.

    Raises:
        UsageError: No or several entries hold weights, or there is none of the given name.
    """
    found = dict(_find_entries(content, "", 0))
    if not found:
        raise UsageError(f"{source} holds no arrays")
    name = _choose(found, entry, source)
    notes = []
    if name:
        ema = any(part in EMA for part in name.split("."))
        others = ", ".join(other for other in found if other != name)
        kind = "the averaged copy (EMA)" if ema else "the weights"
        notes.append(f"{kind} in the entry {name}" + (f"; others: {others}" if others else ""))
    arrays, more = _strip(found[name])
    return Entries(arrays, (*notes, *more))


def _find_entries(
    node: Mapping[str, Any], path: str, depth: int
) -> list[tuple[str, dict[str, np.ndarray]]]:
    arrays = {key: value for key, value in node.items() if isinstance(value, np.ndarray)}
    if any(array.ndim for array in arrays.values()):
        return [(path, arrays)]
    found = []
    for key, value in node.items():
        optimiser = key.lower().startswith(OPTIMISERS)
        if isinstance(value, Mapping) and not optimiser and depth < MAX_DEPTH:
            found += _find_entries(value, f"{path}.{key}" if path else key, depth + 1)
    return found


def _choose(found: Mapping[str, Any], entry: str | None, source: str) -> str:
    if entry is not None:
        if entry not in found:
            raise unknown(f"entry of {source}", entry, found)
        return entry
    for names in (EMA, USUAL):
        for name in names:
            for path in found:
                if name in path.split("."):
                    return path
    if len(found) > 1:
        raise UsageError(f"{source} holds several networks: give entry={' or '.join(found)}")
    return next(iter(found))


def _strip(arrays: dict[str, np.ndarray]) -> tuple[dict[str, np.ndarray], list[str]]:
    """Returns the arrays without the prefixes, and notes."""
    notes: list[str] = []
    arrays, copies = _take_ema(arrays)
    notes += copies
    while prefix := next((p for p in PREFIXES if all(k.startswith(p) for k in arrays)), None):
        arrays = {key.removeprefix(prefix): value for key, value in arrays.items()}
        notes.append(f"the prefix {prefix} of all keys is removed")
    return arrays, notes


def _take_ema(arrays: dict[str, np.ndarray]) -> tuple[dict[str, np.ndarray], list[str]]:
    """Returns the averaged copy where the same keys are there under two prefixes."""
    for name in EMA:
        prefix = f"{name}."
        copy = {k.removeprefix(prefix): v for k, v in arrays.items() if k.startswith(prefix)}
        rest = [key for key in arrays if not key.startswith(prefix)]
        stems = {key.partition(".")[2] for key in rest} | set(rest)
        kept = {key: value for key, value in copy.items() if value.ndim or "." in key}
        inner = {key.removeprefix("module."): value for key, value in kept.items()}
        if inner and inner.keys() <= stems | {key.removeprefix("module.") for key in stems}:
            return kept, [f"the averaged copy (EMA) below {prefix}"]
    return arrays, []
