"""Reads and writes state dicts of torch, without unpickling anything but tensors."""

from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from dfjax.errors import FileError, UsageError, first_line
from dfjax.weights.limits import DAMAGED, check_size


def read_torch(path: Path) -> dict[str, Any]:
    """Returns the content of a torch file: a nested dict with NumPy arrays for tensors.

    Values that are neither tensors nor dicts are left out.

    Raises:
        UsageError: torch is not installed, or the file is damaged, holds no dict, or holds objects
            other than tensors and containers, which are not loaded.
    """
    torch = _import_torch(path)
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
        if not isinstance(content, Mapping):
            raise FileError(f"{path} holds a {type(content).__name__}, not a state dict")
        return _to_numpy(torch, content, str(path))
    except torch.serialization.pickle.UnpicklingError as error:
        raise FileError(
            f"{path} is not a torch file of tensors; nothing in it was executed. A checkpoint with "
            "other objects has to be saved again by its owner, torch.save(model.state_dict()): "
            f"{_reason(error)}"
        ) from error
    except DAMAGED as error:
        raise FileError(f"{path} is not a readable torch file: {first_line(error)}") from error


def write_torch(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Writes a state dict in the zip format of `torch.save`.

    Raises:
        UsageError: torch is not installed.
    """
    torch = _import_torch(path)
    torch.save(OrderedDict((k, torch.from_numpy(np.array(v))) for k, v in arrays.items()), path)


def _import_torch(path: Path) -> Any:
    try:
        import torch
    except ImportError as error:
        raise UsageError(
            f"{path} is a torch file, which needs torch: pip install torch; safetensors, .npz and "
            "Keras files do not"
        ) from error
    return torch


def _reason(error: Exception) -> str:
    """Returns the sentence of torch's long message that names what it refused."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    named = [line for line in lines if "GLOBAL" in line or "Unsupported" in line]
    return (named or lines or [type(error).__name__])[0]


def _to_numpy(torch: Any, node: Mapping[Any, Any], name: str) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in node.items():
        if isinstance(value, Mapping):
            found[str(key)] = _to_numpy(torch, value, name)
        elif isinstance(value, torch.Tensor) and value.layout is torch.strided:
            check_size(value.numel() * value.element_size(), f"{key} of {name}")
            value = value.detach()
            if value.is_quantized or value.is_complex():
                raise FileError(f"{key} of {name} is {value.dtype}; weights are real numbers")
            found[str(key)] = (value.float() if value.is_floating_point() else value).numpy()
    return found
