"""Writes the weights of a network under the names of another program: `dfjax.weights.save`."""

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save_file

from dfjax.errors import UsageError
from dfjax.files import atomic_path
from dfjax.weights.convention import Convention, check_same
from dfjax.weights.conversion import Arrays, to_theirs
from dfjax.weights.fit import usual_fit
from dfjax.weights.keras_file import write_h5
from dfjax.weights.loading import is_real, negate_head
from dfjax.weights.mismatch import check_keys
from dfjax.weights.origin import B_NETS
from dfjax.weights.origins.keras import make_normalisation, name_layers
from dfjax.weights.registry import DFJAX, find_origin
from dfjax.weights.safetensors_file import flatten
from dfjax.weights.target import Target, backbone_target
from dfjax.weights.torch_file import write_torch


def save(
    path: str | os.PathLike[str],
    variables: Mapping[str, Any],
    origin: str,
    model: str | Target,
    convention: Convention,
    *,
    positive: str | None = None,
) -> dict[str, np.ndarray]:
    """Writes variables to a file of another program and returns its arrays; the inverse of `load`.

    Args:
        path: File to write; its suffix is the format: `.pth`, `.pt`, `.tar` (torch), `.h5` (Keras),
            `.safetensors` or `.npz`.
        variables: Nested dict with the collections `params` and `batch_stats`.
        origin: Name of the program, a key of `ORIGINS`, or `dfjax` for our own names.
        model: Name of a bare backbone, or the target (see `target`).
        convention: Convention of the weights.
        positive: Class that the output shall score, `fake` or `real`; None is the program's usual
            one.

    Raises:
        UsageError: The program does not have the network, would compute something else, or the
            suffix is not that of one of its formats.
    """
    real = is_real(positive)
    target = backbone_target(model) if isinstance(model, str) else model
    path, flat = Path(path), flatten(variables)
    shapes = {key: value.shape for key, value in flat.items()}
    check_keys(shapes, target.shapes, source="the given variables", network=target.name)
    if origin == DFJAX:
        return _write(path, flat, keras=False)
    program = find_origin(origin)
    fit = usual_fit(program, target)
    check_same(convention, fit.network.conventions, name=f"{origin}'s {target.name}")
    if fit.network.positive_real if real is None else real:
        flat = negate_head(flat)
    arrays = to_theirs(flat, fit.key_map)
    if program.keras:
        normalised = target.name in B_NETS
        arrays = (make_normalisation(convention) if normalised else {}) | name_layers(arrays)
    return _write(path, arrays, keras=program.keras)


def _write(path: Path, arrays: dict[str, np.ndarray], *, keras: bool) -> dict[str, np.ndarray]:
    write = find_writer(path, keras=keras)
    with atomic_path(path) as partial:
        write(partial, arrays)
    return arrays


def find_writer(path: Path, *, keras: bool) -> Callable[[Path, Arrays], None]:
    """Returns the function that writes arrays to a file of this suffix.

    Raises:
        UsageError: The suffix is not that of a format.
    """
    writers = {"h5": write_h5} if keras else dict.fromkeys(("pth", "pt", "tar"), write_torch)
    writers |= {"safetensors": _write_safetensors, "npz": _write_npz}
    suffix = path.suffix.removeprefix(".").lower()
    if suffix not in writers or path.name.endswith(".weights.h5"):
        raise UsageError(
            f"{path}: the suffix is the format; it is one of {', '.join(f'.{s}' for s in writers)}"
        )
    return writers[suffix]


def _write_safetensors(path: Path, arrays: Arrays) -> None:
    save_file({k: np.asarray(v, order="C") for k, v in arrays.items()}, path, {"format": "pt"})


def _write_npz(path: Path, arrays: Arrays) -> None:
    with open(path, "wb") as file:
        np.savez(file, allow_pickle=False, **arrays)
