"""Names the results of restoration, checks their places, and recognises finished ones."""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from dfjax.data.faces.marks import Mark, read_sidecar
from dfjax.errors import InputError, UsageError
from dfjax.files import hash_file
from dfjax.inference.media import find_inputs
from dfjax.inference.restoring.restore_file import Work
from dfjax.outputs import MARK, check_folder


def name_outputs(paths: Sequence[Path]) -> Iterator[tuple[Path, str]]:
    """Yields the files to restore with the names of their results, without suffix.

    Names that repeat are numbered.

    Args:
        paths: Files and folders.

    Raises:
        UsageError: A path does not exist, or a folder contains no video or image.
    """
    used: set[str] = set()
    for given in dict.fromkeys(paths):
        for path in find_inputs([given]):
            inside = path.relative_to(given) if path != given else Path(path.name)
            stem = inside.with_suffix("").as_posix()
            name, number = stem, 1
            while name in used:
                number += 1
                name = f"{stem}-{number}"
            used.add(name)
            yield path, name


def check_places(out: Path, given: Sequence[Path], files: Sequence[Path]) -> None:
    """Checks that results are not written among inputs, nor over files of the user's.

    Args:
        out: Folder for the results.
        given: Paths that were given.
        files: Files to restore.

    Raises:
        UsageError: They would be.
    """
    place = os.path.realpath(out)
    for path in given:
        real = os.path.realpath(path)
        if os.path.isdir(real) and (place + os.sep).startswith(real.rstrip(os.sep) + os.sep):
            raise UsageError(f"{out} is inside of the input folder {path}; write elsewhere")
    check_folder(out, inputs=files, owner=out / MARK)


def find_finished(target: Path, mark: Mark) -> Work | None:
    """Returns the work of an earlier call that made the same file; None if it must be made.

    Raises:
        InputError: The file that is there was made of another input.
    """
    old = read_sidecar(target)
    if old is None:
        return None
    if old["input"] != mark["input"]:
        raise InputError(f"{target} was made of another input, {old['input']}; write elsewhere")
    same = ("input_sha256", "checkpoint_sha256", "settings", "version")
    if any(old[name] != mark[name] for name in same) or not target.is_file():
        return None
    if hash_file(target) != old["output_sha256"]:
        return None
    try:
        return Work(**old["work"])
    except (KeyError, TypeError):
        return None
