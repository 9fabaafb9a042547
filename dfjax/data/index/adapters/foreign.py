"""Reads lists of data sets safely: their entries are untrusted names of local files."""

import re
from pathlib import Path
from typing import Any

from dfjax.errors import InputError, UsageError
from dfjax.json_files import parse_json

LONGEST_PATH = 2048
"""Bytes of a path below a root; the operating system takes 4095 with the root."""

OBJECT = {str: object}
"""Schema of a JSON object with any keys and values."""


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
    if len(slashed.encode(errors="surrogateescape")) > LONGEST_PATH:
        raise InputError(f"the path has more than {LONGEST_PATH} bytes")
    return "/".join(parts)


def read_text(file: Path) -> str:
    """Returns the text of a list. Bytes that are not UTF-8 become surrogate escapes.

    Raises:
        UsageError: The file cannot be read.
    """
    try:
        if file.exists() and not file.is_file():  # opening a named pipe would wait for a writer
            raise UsageError(f"{file} is not a regular file")
        return file.read_text("utf-8-sig", errors="surrogateescape")
    except OSError as error:
        raise UsageError(f"cannot read {file}: {error.strerror}") from error


def read_json(file: Path, schema: Any = OBJECT) -> Any:
    """Returns the value in a JSON file, which may name files whose names are not UTF-8.

    Args:
        file: The file.
        schema: Schema that the value must follow (see `dfjax.json_files`).

    Raises:
        UsageError: The file cannot be read, is not JSON, or does not follow the schema.
    """
    return parse_json(read_text(file), schema, name=str(file))
