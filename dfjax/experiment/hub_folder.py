"""Reads the folder of a detector in the form of the Hugging Face Hub.

It holds `model.safetensors` with the config in its header, `config.json` and
`preprocessor_config.json`, which say the same for other programs, and the model card `README.md`.
The folder is data that may come from anybody: no other file in it is opened, nothing is unpickled
or imported, and links that lead out of it are refused.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dfjax.errors import FileError, UsageError
from dfjax.json_files import read_json
from dfjax.outputs import check_inside
from dfjax.weights.hub import CONFIG, FILES, PREPROCESSOR, WEIGHTS
from dfjax.weights.safetensors_file import read_header

PICKLES = (".bin", ".ckpt", ".joblib", ".pickle", ".pkl", ".pt", ".pth")
REMEDY = "export the detector again"


def is_hub_folder(folder: Path) -> bool:
    """Returns whether a folder is one of a detector of the hub and not the workdir of a run."""
    return folder.is_dir() and not (folder / "checkpoints").exists() and _has_weights(folder)


def _has_weights(folder: Path) -> bool:
    names = [name for name in os.listdir(folder) if not name.startswith(".")]
    return WEIGHTS in names or any(Path(name).suffix in PICKLES for name in names)


def find_weights(folder: Path, root: Path | None = None) -> Path:
    """Returns the weights file of a folder, whose other files say the same as its header.

    Args:
        folder: Folder of a detector.
        root: Folder that links may lead into, such as the cache of the hub; None for `folder`.

    Raises:
        UsageError: The folder has no `model.safetensors`, for example because its weights are
            pickled.
        FileError: A file is damaged or leads out of `root`, or two files disagree.
    """
    if not (folder / WEIGHTS).is_file():
        pickled = sorted(p.name for p in folder.iterdir() if p.suffix in PICKLES)
        reason = f"; {pickled[0]} is a pickle, which could run code" if pickled else ""
        raise UsageError(f"{folder} has no {WEIGHTS}{reason}. Only safetensors are read")
    for name in FILES:
        if (folder / name).is_symlink() or (folder / name).exists():
            check_inside(folder / name, root or folder)
    header = read_header(folder / WEIGHTS)
    for name, wanted in ((CONFIG, header.get("config")), (PREPROCESSOR, _preprocessing(header))):
        path = folder / name
        if path.exists() and read_json(path, {str: object}, remedy=REMEDY) != wanted:
            raise FileError(
                f"{path} is not what {WEIGHTS} was exported with: restore the file, or {REMEDY}"
            )
    return folder / WEIGHTS


def _preprocessing(header: Mapping[str, Any]) -> dict[str, Any] | None:
    config = header.get("config")
    if not isinstance(config, dict):
        return None
    try:
        return describe_preprocessing(config)
    except (KeyError, TypeError):  # the header may be that of anybody; `read_weights` explains it
        return None


def describe_preprocessing(config: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the content of `preprocessor_config.json`: what happens to frames before the model.

    Args:
        config: Config of the detector.
    """
    data, preprocess = config["data"], config["preprocess"]
    return {
        "library_name": "dfjax",
        "crops": config["crops"],  # how faces are found and cut
        "frames": data["frames"],
        "sampling": data["sampling"],
        "stride": data["stride"],
        "size": {"height": preprocess["size"], "width": preprocess["size"]},
        "rescale_factor": 1 / 255,
        "image_mean": preprocess["mean"],
        "image_std": preprocess["std"],
    }
