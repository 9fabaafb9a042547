"""Reads JSON files that others may have written, and checks them against a schema in one place.

A schema is a plain value:

- `str`, `bool`, `float` (any number), `int` (a whole number of 64 bits), `None` (null), `object`
  (any value).
- `[schema]` is an array whose items follow the schema.
- `{str: schema}` is an object whose values follow the schema.
- `{"name": schema, "other?": schema}` is an object with these keys; those that end in `?` may be
  absent. Keys that are not listed are kept without a check.
- `(schema, schema)` is a value that follows one of the schemas.
"""

import collections
import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from dfjax.errors import FileError

MAX_DEPTH = 64  # levels of nesting; deeper values would exceed Python's recursion elsewhere

WORDS: dict[Any, str] = {
    str: "a text",
    bool: "true or false",
    float: "a number",
    int: "a whole number",
    None: "null",
}


def read_json(path: str | os.PathLike[str], schema: Any = object, *, remedy: str = "") -> Any:
    """Returns the value in a JSON file.

    Args:
        path: JSON file in UTF-8.
        schema: Schema that the value must follow (see the module).
        remedy: What to do about a damaged file, for the error message.

    Raises:
        FileError: The file cannot be read, is not JSON, names a key twice in one object, is nested
            too deeply, or does not follow the schema.
    """
    path = Path(path)
    try:
        if path.exists() and not path.is_file():  # opening a named pipe would wait for a writer
            raise FileError(_explain(f"{path} is not a regular file", remedy))
        data = path.read_bytes()
    except OSError as error:
        raise FileError(_explain(f"cannot read {path}: {error.strerror}", remedy)) from error
    return parse_json(data, schema, name=str(path), remedy=remedy)


def read_mark(path: str | os.PathLike[str], schema: Any = object) -> Any:
    """Returns the value in a file that marks finished work, or None if it is absent or damaged.

    Work without a readable mark is done again.

    Args:
        path: JSON file.
        schema: Schema that the value must follow (see the module).
    """
    try:
        return read_json(path, schema)
    except FileError:
        return None


def parse_json(text: str | bytes, schema: Any = object, *, name: str, remedy: str = "") -> Any:
    """Returns the value of a JSON text.

    Args:
        text: The text; bytes are UTF-8.
        schema: Schema that the value must follow (see the module).
        name: Name of the file, for the error message.
        remedy: What to do about a damaged file, for the error message.

    Raises:
        FileError: See `read_json`.
    """
    try:
        if isinstance(text, bytes):
            text = text.decode("utf-8-sig")
        if not text.strip():
            raise ValueError("it is empty")
        value = json.loads(text, object_pairs_hook=_make_object)
    except (ValueError, RecursionError) as error:
        reason = "it is nested too deeply" if isinstance(error, RecursionError) else str(error)
        raise FileError(_explain(f"{name} is damaged: {reason}", remedy)) from error
    check_value(value, schema, name=name, remedy=remedy)
    return value


def check_value(value: Any, schema: Any, *, name: str, remedy: str = "") -> None:
    """Checks a value that was parsed from JSON against a schema.

    Args:
        value: The value.
        schema: Schema that the value must follow (see the module).
        name: Name of what the value is, for the error message.
        remedy: What to do about a wrong value, for the error message.

    Raises:
        FileError: The value is nested too deeply or does not follow the schema.
    """
    try:
        _check_depth(value)
        _check(value, schema, "")
    except ValueError as error:
        raise FileError(_explain(f"{name} is damaged: {error}", remedy)) from error


def _make_object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) < len(pairs):
        counts = collections.Counter(key for key, _ in pairs)
        raise ValueError(f"the key {counts.most_common(1)[0][0]!r:.40} occurs twice in one object")
    return value


def _check_depth(value: Any) -> None:
    level = [value]
    for _ in range(MAX_DEPTH):
        level = [
            item for holder in level for item in _items(holder) if isinstance(item, dict | list)
        ]
        if not level:
            return
    raise ValueError("it is nested too deeply")


def _items(holder: Any) -> Iterable[Any]:
    if isinstance(holder, dict):
        return holder.values()
    return holder if isinstance(holder, list) else ()


def _check(value: Any, schema: Any, place: str) -> None:
    """Raises a `ValueError` that names the first place where a value differs from the schema."""
    if isinstance(schema, tuple):
        _check_any(value, schema, place)
    elif isinstance(schema, list):
        if not isinstance(value, list):
            raise _wrong(value, "an array", place)
        for number, item in enumerate(value):
            _check(item, schema[0], f"{place}[{number}]")
    elif isinstance(schema, dict):
        _check_object(value, schema, place)
    elif not _is_kind(value, schema):
        raise _wrong(value, WORDS[schema], place)


def _check_any(value: Any, schemas: tuple[Any, ...], place: str) -> None:
    """Checks a value against alternatives; the error is that of the last one of the same shape."""
    errors = []
    for schema in schemas:
        try:
            _check(value, schema, place)
        except ValueError as error:
            errors.append((isinstance(value, dict | list) and type(schema) is type(value), error))
        else:
            return
    inside = [error for same_shape, error in errors if same_shape]
    raise inside[-1] if inside else _wrong(value, " or ".join(map(_describe, schemas)), place)


def _check_object(value: Any, schema: dict[Any, Any], place: str) -> None:
    if not isinstance(value, dict):
        raise _wrong(value, "an object", place)
    if str in schema:
        for key, item in value.items():
            _check(item, schema[str], f"{place}.{key!r:.40}")
        return
    for key, wanted in schema.items():
        name = key.removesuffix("?")
        if name in value:
            _check(value[name], wanted, f"{place}.{name}")
        elif name == key:
            raise ValueError(f"it has no {f'{place}.{name}'.lstrip('.')}")


def _is_kind(value: Any, kind: Any) -> bool:
    if kind is object:
        return True
    if kind is None:
        return value is None
    if kind is int:
        return type(value) is int and -(2**63) <= value < 2**63
    if kind is float:  # NaN is a number that is not known; a whole number may be too large
        return type(value) in (int, float) and not abs(value) >= 2**1023
    return type(value) is kind


def _describe(schema: Any) -> str:
    if isinstance(schema, dict | list):
        return "an object" if isinstance(schema, dict) else "an array"
    return WORDS[schema]


def _wrong(value: Any, wanted: str, place: str) -> ValueError:
    found = _describe(value) if isinstance(value, dict | list) else _shorten(json.dumps(value))
    return ValueError(f"{place.lstrip('.') or 'its content'} is {found}, not {wanted}")


def _shorten(text: str) -> str:
    return f"{text[:40]}…" if len(text) > 40 else text


def _explain(message: str, remedy: str) -> str:
    return f"{message}; {remedy}" if remedy else message
