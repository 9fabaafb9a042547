"""Reads lists of data sets safely: their entries are untrusted names of local files."""

import json
import re
from pathlib import Path
from typing import Any

from dfjax.errors import InputError, UsageError


def safe_path(text: object) -> str:
    """Returns an entry of a list as a relative POSIX path; it may have either kind of slash.

    Raises:
        InputError: The entry is not a path, is absolute, or leads outside of its folder.
    """
    if not isinstance(text, str) or not text.strip() or "\0" in text:
        raise InputError(f"not a path: {text!r}")
    slashed = text.strip().replace("\\", "/")
    if slashed.startswith("/") or re.match(r"[A-Za-z]:", slashed):
        raise InputError("the path is absolute and leads outside of the data set")
    parts = [part for part in slashed.split("/") if part not in ("", ".")]
    if ".." in parts or not parts:
        raise InputError("the path leads outside of the data set")
    try:
        longest = max(len(part.encode(errors="surrogateescape")) for part in parts)
    except UnicodeEncodeError as error:
        raise InputError("the path is not valid Unicode") from error
    if longest > 255:
        raise InputError("the path has a part of more than 255 bytes")
    return "/".join(parts)


def read_text(file: Path) -> str:
    """Returns the text of a list. Bytes that are not UTF-8 become surrogate escapes.

    Raises:
        UsageError: The file cannot be read.
    """
    try:
        return file.read_text("utf-8-sig", errors="surrogateescape")
    except OSError as error:
        raise UsageError(f"cannot read {file}: {error.strerror}") from error


def read_json(file: Path) -> dict[str, Any]:
    """Returns the object in a JSON file.

    Raises:
        UsageError: The file cannot be read, or does not hold a JSON object.
    """
    try:
        content = json.loads(read_text(file))
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{file} is not valid JSON: {error}") from error
    if not isinstance(content, dict):
        raise UsageError(f"{file} is not a JSON object")
    return content
