"""The record in `metrics.json` of what its numbers depend on: files, settings and code.

It is the entry `inputs`: `{"files": {name: {"path", "sha256"}}, "settings", "code", "sha256"}`.
Paths are relative to the folder of `metrics.json`, so that a folder with all of them may be moved.
The last hash is that of the rest of `metrics.json`, whose every change it shows.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import dfjax
from dfjax.evaluation.report.code_hash import hash_code
from dfjax.files import finite, hash_file, hash_folder, hash_json

INPUTS = "inputs"
PREDICTIONS = "predictions"
"""Name of the file of predictions beside `metrics.json`."""

RECORD = {
    "files": {str: {"path": str, "sha256": str}},
    "settings": {str: object},
    "code": {"version": str, "sha256": str},
    "sha256": str,
}
"""Schema of a record."""


def record_inputs(
    out: Path, result: dict[str, Any], files: Mapping[str, Path], settings: Mapping[str, Any]
) -> None:
    """Adds the record to the content of `metrics.json`.

    Args:
        out: Folder of `metrics.json`.
        result: Content of `metrics.json`, which is changed.
        files: Files and folders that the numbers depend on, by name.
        settings: Settings that the numbers depend on, which can be represented in JSON.
    """
    entries = {
        name: {"path": os.path.relpath(path, out), "sha256": hash_path(path)}
        for name, path in files.items()
    }
    code = {"version": dfjax.__version__, "sha256": hash_code()}
    record = {"files": entries, "settings": finite(dict(settings)), "code": code}
    result[INPUTS] = json.loads(json.dumps(record))
    result[INPUTS]["sha256"] = hash_content(finite(result))


def hash_content(result: Mapping[str, Any]) -> str:
    """Returns the hash of the content of `metrics.json` without the hash itself."""
    record = {name: value for name, value in result[INPUTS].items() if name != "sha256"}
    return hash_json({**result, INPUTS: record})


def hash_path(path: Path) -> str:
    """Returns the SHA-256 of a file or folder.

    That of the folder `variables` of a checkpoint is its hash in audit logs.
    """
    return hash_folder(path) if path.is_dir() else hash_file(path)
