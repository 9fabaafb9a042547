"""Marks files as restored by a model, and recognises files that are.

A marked file has a statement in its metadata (a text of a PNG file, the comment of an MP4 file) and
a JSON file beside it, the sidecar. Either is enough to recognise it.
"""

import datetime
import json
import os
from pathlib import Path
from typing import Any

import dfjax
from dfjax.data.faces.video import read_comments
from dfjax.errors import InputError
from dfjax.files import write_json
from dfjax.json_files import read_mark

STATEMENT = "restored by a model"
PREFIX = "dfjax-restored "
"""Start of the text in the metadata, which JSON with the most important entries follows."""

SIDECAR = ".restored.json"
"""What is added to the name of a file for the name of its sidecar."""

EMBEDDED = ("statement", "input_sha256", "checkpoint", "checkpoint_sha256", "version", "time")
SCHEMA = {
    **dict.fromkeys(("statement", "input", "input_sha256", "output_sha256"), str),
    **dict.fromkeys(("checkpoint", "checkpoint_sha256", "version", "time"), str),
    "settings": {str: object},
}
"""Schema of a sidecar, as far as it is read."""

Mark = dict[str, Any]


def make_mark(
    source: Path, sha256: str, checkpoint: str, checkpoint_sha256: str, settings: dict[str, Any]
) -> Mark:
    """Returns the entries that mark what a generator made of a file.

    Args:
        source: File that was restored.
        sha256: Hash of that file.
        checkpoint: Name of the generator's checkpoint.
        checkpoint_sha256: Hash of the checkpoint's files.
        settings: Settings of the restoration, which can be represented in JSON.
    """
    return {
        "statement": STATEMENT,
        "input": str(source),
        "input_sha256": sha256,
        "checkpoint": checkpoint,
        "checkpoint_sha256": checkpoint_sha256,
        "version": dfjax.__version__,
        "time": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "settings": settings,
    }


def make_comment(mark: Mark) -> str:
    """Returns the text that is embedded in the metadata of a marked file."""
    return PREFIX + json.dumps({name: mark[name] for name in EMBEDDED})


def sidecar_path(path: str | os.PathLike[str]) -> Path:
    """Returns the path of a file's sidecar."""
    path = Path(path)
    return path.with_name(path.name + SIDECAR)


def write_sidecar(path: Path, mark: Mark) -> None:
    """Writes the sidecar of a file atomically."""
    write_json(sidecar_path(path), mark)


def read_sidecar(path: str | os.PathLike[str]) -> Mark | None:
    """Returns the content of a file's sidecar; None if it is absent or damaged."""
    return read_mark(sidecar_path(path), SCHEMA)


def is_restored(path: str | os.PathLike[str]) -> bool:
    """Returns whether a file is marked as restored by a model.

    A file that cannot be read, and one whose marks were removed, is not.
    """
    if read_sidecar(path) is not None:
        return True
    try:
        return any(text.startswith(PREFIX) for text in read_comments(path))
    except InputError:
        return False
