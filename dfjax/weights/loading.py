"""Reads the weights of a network from a file of another program: `dfjax.weights.load`."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from dfjax.errors import UsageError, unknown
from dfjax.weights.convention import RGB, Convention, choose
from dfjax.weights.conversion import Arrays, to_ours
from dfjax.weights.entries import Entries, find_weights
from dfjax.weights.fit import HEAD, Fit, best_fit, recognise
from dfjax.weights.foreign_file import find_file, read_foreign
from dfjax.weights.hub_settings import read_beside
from dfjax.weights.key_map import KeyMap, make_identity
from dfjax.weights.mismatch import list_keys
from dfjax.weights.origin import Origin
from dfjax.weights.origins.keras import number_layers, read_normalisation
from dfjax.weights.registry import DFJAX, find_origin
from dfjax.weights.rounding import unpack_arrays
from dfjax.weights.safetensors_file import unflatten
from dfjax.weights.target import Target, backbone_target, own_convention

CLASSES = ("fake", "real")
HINT = "with new_head the layers above the backbone are initialised instead of read"


@dataclass(frozen=True)
class Weights:
    """Weights of a network and what they expect of it.

    Attributes:
        variables: Nested dict with the collections `params` and `batch_stats`.
        convention: Convention of the origin.
        network: Name of the network that the weights are for, which may differ from the one that
            was asked for: Keras' `resnet50` is our `resnet50_v1`.
        notes: What was recognised, left out or changed.
        new: Paths of the parameters that are not in `variables`, as allowed by `new_head`.
    """

    variables: dict[str, Any]
    convention: Convention
    network: str
    notes: tuple[str, ...]
    new: tuple[str, ...] = ()


def load(
    path: str | os.PathLike[str],
    origin: str,
    model: str | Target,
    *,
    entry: str | None = None,
    padding: str | None = None,
    mean: RGB | None = None,
    std: RGB | None = None,
    size: int | None = None,
    new_head: bool = False,
    positive: str | None = None,
    ignore: Sequence[str] = (),
) -> Weights:
    """Returns the weights in a file of another program, under our names and in our layout.

    Every key of the file is used exactly once, but for counters and, for a backbone, the original
    classifier, which is left out. A detector needs the layers above its backbone too, and they are
    initialised only where `new_head` asks for it.

    Args:
        path: Weights file, of a format that its content tells, or its folder (see `find_file`).
        origin: Name of the program, a key of `ORIGINS`, or `dfjax` for our own names; of the
            options, only `entry` is for these.
        model: Name of a bare backbone, or the target (see `target`).
        entry: Entry of the file that holds the weights, where it has several.
        padding: Padding rule, where the program has several and the file does not tell which.
        mean: Mean of RGB values in [0, 1], where it is not the program's usual one.
        std: Standard deviation, likewise.
        size: Side of the images, likewise.
        new_head: Whether the layers above the backbone are left out of the result and of the
            check of the keys.
        positive: Class that the output of the file scores, `fake` or `real`. For `real` the last
            layer is negated, or its two classes are swapped. None is the program's usual one.
        ignore: Beginnings of keys of the file that are left out.

    Raises:
        UsageError: The file cannot be read, does not fit, or its convention is not known.
    """
    target = backbone_target(model) if isinstance(model, str) else model
    path = find_file(path)
    if origin == DFJAX:
        return _load_own(path, target, entry)
    program, source, real = find_origin(origin), os.fspath(path), is_real(positive)
    arrays, notes = _read_arrays(path, program, entry)
    fit = best_fit(program, target, arrays)
    _check_recognised(fit, program, target, arrays, source)
    convention = _find_convention(fit, program, target, path.name, padding)
    told, beside = read_beside(path, target.name, program.networks, mean=mean, std=std, size=size)
    convention = _with_input(convention, arrays, told, keras=program.keras)
    key_map = _without_head(fit.key_map, target) if new_head else fit.key_map
    _check_mapped(key_map, program)
    left_out = (*ignore, *_find_unread(fit.key_map, key_map))
    found = _convert(arrays, key_map, target, source, left_out, layouts=program.layouts)
    if fit.network.positive_real if real is None else real:
        found = negate_head(found)
        notes += ("the output of the file scores real faces: the last layer is negated",)
    notes += (*beside, *_describe(fit, arrays, left_out))
    new = tuple(key for key in target.shapes if key not in found)
    return Weights(unflatten(found), convention, fit.network.renamed or target.name, notes, new)


def _load_own(path: str | os.PathLike[str], target: Target, entry: str | None) -> Weights:
    """Returns the weights in a file with our own names and layout."""
    source = os.fspath(path)
    arrays, notes = find_weights(read_foreign(path).content, source=source, entry=entry)
    arrays = unpack_arrays(arrays, source=source)
    found = to_ours(arrays, make_identity(target.shapes), source=source, network=target.name)
    convention = replace(own_convention(target.name, {}), origin=DFJAX)
    return Weights(unflatten(found), convention, target.name, notes)


def is_real(positive: str | None) -> bool | None:
    """Returns whether an option `positive` is `real`; None where it is not given.

    Raises:
        UsageError: It is no class.
    """
    if positive not in (None, *CLASSES):
        raise unknown("class", str(positive), CLASSES)
    return None if positive is None else positive == "real"


def negate_head(found: Arrays) -> dict[str, np.ndarray]:
    """Returns our parameters with the opposite sign of the logit: negated or swapped outputs.

    Raises:
        UsageError: There is no last layer.
    """
    head = [key for key in found if key.startswith(HEAD)]
    if not head:
        raise UsageError("positive=real needs a last layer, and a backbone has none")
    swapped = {
        key: -found[key] if found[key].shape[-1] == 1 else found[key][..., ::-1].copy()
        for key in head
    }
    return dict(found) | swapped


def _read_arrays(path: str | os.PathLike[str], program: Origin, entry: str | None) -> Entries:
    file = read_foreign(path)
    arrays, notes = find_weights(file.content, source=os.fspath(path), entry=entry)
    return Entries(number_layers(arrays) if program.keras else arrays, notes)


def _check_recognised(
    fit: Fit, program: Origin, target: Target, arrays: Arrays, source: str
) -> None:
    """Checks that a file has at least one key of the network."""
    if any(entry.theirs in arrays for entry in fit.key_map.entries):
        return
    found, wanted = next(iter(arrays)), fit.key_map.entries[0].theirs
    others = recognise([*arrays, *number_layers(arrays)])
    hint = f"; its keys are those of {' or '.join(others)}" if others else ""
    raise UsageError(
        f"{source} has no key of {target.name} in the names of {program.name}: it has {found} …, "
        f"and the network has {wanted} …{hint}"
    )


def _find_convention(
    fit: Fit, program: Origin, target: Target, name: str, padding: str | None
) -> Convention:
    """Returns the usual convention of the program for a file of this name."""
    conventions = fit.network.conventions
    fixed = dict(fit.wrapper.convention)
    rule = fixed.pop("padding", None)
    if rule and padding not in (None, rule):
        raise UsageError(f"{fit.wrapper.name} pads by the rule {rule}, not {padding}")
    if padding is None and rule is None and len(conventions) > 1:
        padding = next((p for part, p in program.hints.items() if part in name), None)
    chosen = choose(conventions, padding or rule, origin=program.name, model=target.name)
    return replace(chosen, **fixed)


def _with_input(
    convention: Convention, arrays: Arrays, given: Mapping[str, Any], *, keras: bool
) -> Convention:
    """Returns the convention with the input that the caller or a layer of the file describes."""
    if keras and (read := read_normalisation(arrays)):
        convention = replace(convention, mean=read[0], std=read[1])
    return replace(convention, **{k: v for k, v in given.items() if v is not None})


def _without_head(key_map: KeyMap, target: Target) -> KeyMap:
    """Returns the key map of the backbone alone."""
    if not target.prefix:
        raise UsageError(f"new_head is for detectors with a backbone; {target.name} has no head")
    entries = [e for e in key_map.entries if e.ours.partition(".")[2].startswith(target.prefix)]
    return replace(key_map, entries=entries, unmapped=())


def _convert(
    arrays: Arrays,
    key_map: KeyMap,
    target: Target,
    source: str,
    left_out: Sequence[str],
    *,
    layouts: str,
) -> dict[str, np.ndarray]:
    """Returns our parameters by path; those that the program does not have are zero."""
    hints = [layouts, HINT if target.prefix and _has_head(key_map) else ""]
    hint = "; ".join(filter(None, hints))
    found = to_ours(
        arrays, key_map, source=source, network=target.name, leave_out=left_out, hint=hint
    )
    return found | {key: np.zeros(target.shapes[key], np.float32) for key in key_map.zeros}


def _find_unread(whole: KeyMap, key_map: KeyMap) -> tuple[str, ...]:
    """Returns the beginnings of the keys that the network has no place for.

    Args:
        whole: Key map of the whole network.
        key_map: Key map of what is read, the network or its backbone.
    """
    above = {e.theirs for e in whole.entries} - {e.theirs for e in key_map.entries}
    return (*above, *(() if _has_head(key_map) else whole.classifier))


def _has_head(key_map: KeyMap) -> bool:
    return any(entry.ours.startswith(HEAD) for entry in key_map.entries)


def _check_mapped(key_map: KeyMap, program: Origin) -> None:
    if key_map.unmapped:
        raise UsageError(
            f"{program.name} has no {list_keys(key_map.unmapped)}, which this detector has: {HINT}"
        )


def _describe(fit: Fit, arrays: Arrays, left_out: Sequence[str]) -> tuple[str, ...]:
    notes = [f"the names are those of {fit.wrapper.name}"] if fit.wrapper.name else []
    dropped = [key for key in arrays if key.startswith(tuple(left_out))] if left_out else []
    if dropped:
        classifier = set(fit.key_map.classifier) & set(left_out)
        why = " (a backbone has no classifier)" if classifier else ""
        notes.append(f"{len(dropped)} keys are left out: {list_keys(dropped)}{why}")
    counters = sum(key in arrays for key in fit.key_map.counters)
    if counters:
        notes.append(f"counters of batches, which are not needed: {counters}")
    unused = [key for key in fit.key_map.extras if key in arrays]
    if unused:
        notes.append(f"{len(unused)} keys are not used by the network: {', '.join(unused[:2])} …")
    return (*notes, *([fit.network.note] if fit.network.note else []))
