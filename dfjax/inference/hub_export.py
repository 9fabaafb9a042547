"""Writes a detector as a folder in the form of the Hugging Face Hub (`experiment.hub_folder`)."""

import contextlib
import os
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from dfjax.errors import UsageError
from dfjax.experiment.hub_folder import describe_preprocessing
from dfjax.files import write_json
from dfjax.outputs import check_links, is_ours
from dfjax.shapes import Variables
from dfjax.weights.hub import CONFIG, FILES, PREPROCESSOR, WEIGHTS
from dfjax.weights.safetensors_file import save_safetensors

KEPT = (".git", ".gitattributes", ".gitignore", ".cache")
"""What a clone of a repository has besides our files."""


def check_hub_folder(folder: Path) -> None:
    """Checks that a folder may be written: it is absent, empty, or one that dfjax wrote.

    Raises:
        UsageError: It is a file, or has other files.
    """
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"{folder} is a file; to=hub writes a folder")
    found = {path.name for path in folder.iterdir()} - {*KEPT} if folder.is_dir() else set()
    if found and not (found <= {*FILES} and is_ours(folder / WEIGHTS)):
        raise UsageError(f"{folder} holds files that dfjax did not write; write elsewhere")
    if found:
        check_links(folder)


@contextlib.contextmanager
def fill_folder(folder: Path) -> Iterator[Path]:
    """Yields a temporary folder whose files are moved to `folder` if the block succeeds.

    A folder of which only some files were replaced is refused when it is read.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".dfjax-") as made:
        yield Path(made)
        folder.mkdir(exist_ok=True)
        for file in sorted(Path(made).iterdir()):
            os.replace(file, folder / file.name)


def write_hub_files(folder: Path, variables: Variables, metadata: Mapping[str, Any]) -> None:
    """Writes the files of a detector but for its card.

    Args:
        folder: Folder to write to.
        variables: Parameters and batch statistics.
        metadata: Entries of the header of a weights file, with the config.
    """
    save_safetensors(folder / WEIGHTS, variables, metadata=metadata)
    write_json(folder / CONFIG, metadata["config"])
    write_json(folder / PREPROCESSOR, describe_preprocessing(metadata["config"]))
