"""Finds the model files of face detectors, and opens them with OpenCV's dnn."""

from collections.abc import Callable, Sequence
from pathlib import Path

import cv2

from dfjax.errors import UsageError, first_line
from dfjax.import_paths import find_package


def find_in_package(module: str, folder: str = "") -> Path | None:
    """Returns a folder of an installed package, which is not imported, or None without it.

    Args:
        module: Name of the package's module.
        folder: Folder within it.
    """
    places = find_package(module)
    return places[0] / folder if places else None


def find_files(folder: Path | None, names: Sequence[str], remedy: str) -> tuple[Path, ...]:
    """Returns the model files in a folder.

    Args:
        folder: Folder, or None if there is none.
        names: Names of the files.
        remedy: How to get them.

    Raises:
        UsageError: A file is missing.
    """
    if folder is None:
        raise UsageError(remedy)
    files = tuple(folder / name for name in names)
    for file in files:
        if not file.is_file():
            raise UsageError(f"there is no model file of the face detector at {file}: {remedy}")
    return files


def open_network(read: Callable[[str], cv2.dnn.Net], file: Path) -> cv2.dnn.Net:
    """Returns the network in a file.

    Args:
        read: Function of OpenCV for the format, such as `cv2.dnn.readNetFromONNX`.
        file: Model file.

    Raises:
        UsageError: OpenCV cannot read it.
    """
    try:
        return read(str(file))
    except cv2.error as error:
        raise UsageError(
            f"{file} is not a network that OpenCV {cv2.__version__} reads: {first_line(error)}"
        ) from error
