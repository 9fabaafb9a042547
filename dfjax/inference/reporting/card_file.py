"""The file of a model card: its header, and the verification of the file that it describes.

The form is that of Hugging Face, YAML between two lines `---` and then Markdown:
https://huggingface.co/docs/hub/model-cards. The entry `dfjax` of the header has the name, the size
and the SHA-256 of the file that the card describes. Neither JAX nor a detector is loaded.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

import dfjax
from dfjax.errors import FileError, UsageError
from dfjax.files import check_regular, hash_file
from dfjax.json_files import check_value
from dfjax.results import Result
from dfjax.weights.hub import CARD, CONFIG, PREPROCESSOR, WEIGHTS

FILE = {"name": str, "format": str, "checkpoint": str, "bytes": int, "sha256": str}
HEADER = {"dfjax": {"version": str, "file": FILE, "files?": {str: str}}}
MOST_HEADER = 2**20  # bytes
OTHERS = (CONFIG, PREPROCESSOR)


@dataclass(frozen=True)
class Verified(Result):
    """The result of `verify_card`.

    Attributes:
        file: The file.
        card: Its model card.
        format: Format that the card states.
        checkpoint: Checkpoint that the card states.
        sha256: SHA-256 of the file.
        differences: Sentences on what differs from the card; empty if nothing does.
    """

    file: Path
    card: Path
    format: str
    checkpoint: str
    sha256: str
    differences: list[str]

    def describe(self) -> list[str]:
        """Returns a line that says whether the file is the one that the card describes."""
        if self.differences:
            return []
        return [
            f"{self.file} is the file of {self.card}: {self.format}, checkpoint {self.checkpoint}, "
            f"sha256 {self.sha256}"
        ]

    def list_errors(self) -> list[str]:
        """Returns the differences."""
        return self.differences


def find_card(path: Path) -> Path:
    """Returns the path of a card: that of the file with `.md` added, or in a folder `README.md`."""
    return path / CARD if path.is_dir() else path.with_name(f"{path.name}.md")


def find_file(path: Path) -> Path:
    """Returns the file that a card describes: an exported file, or the weights in a folder."""
    return path / WEIGHTS if path.is_dir() else path


def describe_file(path: Path) -> dict[str, Any]:
    """Returns what a card states of a file by which it is recognised: name, size and SHA-256."""
    return {"name": path.name, "bytes": path.stat().st_size, "sha256": hash_file(path)}


def hash_others(path: Path) -> dict[str, str]:
    """Returns the SHA-256 of the files in a folder besides weights and card; none of a file."""
    if not path.is_dir():
        return {}
    return {name: hash_file(path / name) for name in OTHERS if (path / name).is_file()}


def make_header(
    entries: Mapping[str, Any], file: Mapping[str, Any], others: Mapping[str, str]
) -> str:
    """Returns the header of a card.

    Args:
        entries: Entries that Hugging Face reads.
        file: Entries of `FILE`.
        others: SHA-256 of further files beside the card, by name.
    """
    described = {"version": dfjax.__version__, "file": dict(file)}
    described |= {"files": dict(others)} if others else {}
    header = {**entries, "dfjax": described}
    return f"---\n{yaml.safe_dump(header, sort_keys=False, allow_unicode=True)}---"


def verify_card(path: Path) -> Verified:
    """Compares a file with its card, or the files of a folder of the hub with the card in it.

    Args:
        path: Exported file, or folder.

    Raises:
        UsageError: The file or its card does not exist.
        FileError: The card is damaged.
    """
    card, file = find_card(path), find_file(path)
    for needed in (file, card):
        if not needed.is_file():
            raise UsageError(f"{needed} does not exist: a file and its card are needed")
        check_regular(needed)
    header = _read_header(card)["dfjax"]
    stated, found = header["file"], describe_file(file)
    differences = [
        f"{file}: {name} is {value}, and {card.name} says {stated[name]}"
        for name, value in found.items()
        if value != stated[name]
    ]
    others, hashes = header.get("files", {}), hash_others(path)
    differences += [
        f"{path / name}: sha256 is {hashes.get(name)}, and {card.name} says {others.get(name)}"
        for name in OTHERS
        if hashes.get(name) != others.get(name)
    ]
    return Verified(
        path, card, stated["format"], stated["checkpoint"], found["sha256"], differences
    )


def _read_header(card: Path) -> dict[str, Any]:
    with card.open("rb") as file:
        text = file.read(MOST_HEADER).decode("utf-8", errors="replace")
    start, _, rest = text.partition("---\n")
    block, end, _ = rest.partition("\n---\n")
    if start or not end:
        raise FileError(f"{card} is damaged: it does not start with a block between lines of ---")
    try:
        header = yaml.safe_load(block)
    except (yaml.YAMLError, RecursionError) as error:
        message = " ".join(str(error).split())
        raise FileError(f"{card} is damaged: {message}") from error
    check_value(header, HEADER, name=str(card), remedy="export again with a card")
    return dict(header)
