"""Detectors on the Hugging Face Hub: `hf://USER/NAME`, or `hf://USER/NAME@REVISION`.

A repository is read as data. Only the files of `FILES` are fetched, and none of them can hold code.
The cache is that of `huggingface_hub`, which resumes interrupted downloads and works offline once
the files are there (`HF_HUB_OFFLINE=1`).
"""

import importlib
import os
import re
from pathlib import Path
from typing import Any, NamedTuple

from dfjax.errors import UsageError, first_line

SCHEME = "hf:/"
ADDRESS = re.compile(r"hf:/{1,2}([\w.-]+)/([\w.-]+?)(?:@([\w./-]+))?")  # pathlib drops a slash
WEIGHTS, CONFIG, PREPROCESSOR, CARD = (
    *("model.safetensors", "config.json", "preprocessor_config.json", "README.md"),
)
FILES = (WEIGHTS, CONFIG, PREPROCESSOR, CARD)
"""Files of a repository: parameters, config, preprocessing and model card."""
EXTRA = "pip install 'dfjax[hub]'"


class HubAddress(NamedTuple):
    """A repository of the hub.

    Attributes:
        user: User or organisation.
        name: Name of the repository.
        revision: Branch, tag or commit; None for the main branch.
    """

    user: str
    name: str
    revision: str | None

    @property
    def repo(self) -> str:
        """Name of the repository as the hub writes it."""
        return f"{self.user}/{self.name}"


def is_hub_address(source: Any) -> bool:
    """Returns whether a source is meant as a repository of the hub."""
    return isinstance(source, str | os.PathLike) and os.fspath(source).startswith(SCHEME)


def parse_address(source: str | os.PathLike[str]) -> HubAddress:
    """Returns the repository that an address names.

    Raises:
        UsageError: It has another form.
    """
    match = ADDRESS.fullmatch(os.fspath(source))
    names = match.groups() if match else ()
    if not match or any(set(part) == {"."} for name in names if name for part in name.split("/")):
        raise UsageError(f"{source} is not of the form hf://USER/NAME or hf://USER/NAME@REVISION")
    return HubAddress(*names)


def fetch_repository(address: HubAddress) -> Path:
    """Returns the folder with the files of a repository, which are fetched unless they are cached.

    Raises:
        UsageError: `huggingface_hub` is not installed, the hub cannot be reached, or it has no such
            repository or revision.
    """
    try:
        hub: Any = importlib.import_module("huggingface_hub")
    except ImportError as error:
        raise UsageError(f"hf:// needs huggingface_hub: {EXTRA}") from error
    try:
        folder = hub.snapshot_download(
            address.repo, revision=address.revision, allow_patterns=list(FILES)
        )
    except (OSError, ValueError) as error:  # what its errors derive from
        at = f" at {address.revision}" if address.revision else ""
        raise UsageError(
            f"{address.repo}{at} cannot be fetched from the Hugging Face Hub "
            f"({first_line(error)}); a folder with its files can be given in its place"
        ) from error
    return Path(folder)
