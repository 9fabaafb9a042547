"""Removes from a config, and from texts, the folders of the machine of training."""

import re
from collections.abc import Mapping
from pathlib import PurePosixPath, PureWindowsPath
from typing import Any

PATHS = ("data.path", "data.features", "train.init_from", "loss.perceptual.file")
"""Keys whose values are paths, besides those of `PATH_SECTIONS`."""
PATH_SECTIONS = ("init.", "loss.critic.detector")
FOLDERS = re.compile(r"(?<![\w.:/])(?:[A-Za-z]:)?[/\\](?:[^\s/\\:;,'\"]+[/\\])+")
"""The folders of an absolute path in a text, which is no address."""


def hide_folders(values: Any, key: str = "") -> Any:
    """Returns a copy of a config or another value in which paths are names without folders.

    These are the values of the keys for paths, and every other absolute path.

    Args:
        values: Value with the types of JSON.
        key: Key of the value, with dots.
    """
    if isinstance(values, Mapping):
        return {name: hide_folders(value, f"{key}.{name}") for name, value in values.items()}
    if isinstance(values, list | tuple):
        return [hide_folders(value, key) for value in values]
    if not isinstance(values, str):
        return values
    named, is_override, value = values.partition("=")  # an item of `phases`
    if is_override and key.endswith("phases"):
        return f"{named}={hide_folders(value, f'.{named}')}"
    return _hide(values, key.removeprefix("."))


def _hide(value: str, key: str) -> str:
    windows = PureWindowsPath(value).is_absolute()
    is_path = key in PATHS or key.startswith(PATH_SECTIONS)
    if windows:
        return PureWindowsPath(value).name
    return PurePosixPath(value).name if is_path or value.startswith(("/", "~")) else value


def hide_folders_in_text(text: str) -> str:
    """Returns a text in which absolute paths are names without folders."""
    return FOLDERS.sub("", text)
