"""The log `predictions.jsonl` of scored inputs, with a picture of each input."""

import datetime
import hashlib
import json
import os
from collections.abc import Sequence
from pathlib import Path

import dfjax
from dfjax.console import say
from dfjax.errors import UsageError, is_full_disk
from dfjax.files import hash_file
from dfjax.inference.verdict import Verdict
from dfjax.outputs import check_outputs

LOG = "predictions.jsonl"
LONGEST = 230  # bytes of a name without number and suffix; file systems allow 255 with them


def name_pictures(folder: Path, inputs: Sequence[Path]) -> dict[str, Path]:
    """Returns the PNG file of each input, by its path.

    Names that repeat are numbered, and names that are too long for that are cut.
    """
    pictures: dict[str, Path] = {}
    used: set[str] = set()
    for path in dict.fromkeys(inputs):
        name, number = _cut(path.stem), 1
        while name in used:
            number += 1
            name = f"{_cut(path.stem)}-{number}"
        used.add(name)
        pictures[str(path)] = folder / f"{name}.png"
    return pictures


def name_pages(folder: Path, inputs: Sequence[Path]) -> dict[str, Path]:
    """Returns the HTML file of each input, by its path; it is beside its PNG file."""
    pictures = name_pictures(folder, inputs).items()
    return {
        name: path.with_name(f"{path.name.removesuffix('.png')}.html") for name, path in pictures
    }


def _cut(stem: str) -> str:
    """Returns a name of at most `LONGEST` bytes; what is cut off is replaced by a hash."""
    data = os.fsencode(stem)
    if len(data) <= LONGEST:
        return stem
    digest = hashlib.sha256(data).hexdigest()[:12]
    return f"{data[: LONGEST - 13].decode(errors='ignore')}-{digest}"


def check_folder(folder: Path, inputs: Sequence[Path]) -> None:
    """Checks that the log and the pictures replace neither an input nor a file of the user's.

    Raises:
        UsageError: One of them would.
    """
    check_outputs([folder / LOG, *name_pictures(folder, inputs).values()], inputs=inputs)
    if (folder / LOG).is_symlink():  # lines are appended, where others are replaced
        raise UsageError(f"{folder / LOG} is a symbolic link; write elsewhere, or remove it first")


class AuditLog:
    """Writes one line per input to `predictions.jsonl`, beside the pictures of the inputs.

    Lines are appended, so that the log also lists the inputs of earlier calls.

    Args:
        folder: Folder of the log; it is created if it does not exist.
        inputs: All inputs. Their pictures have the names of the files, numbered where names repeat.
        checkpoint: Name of the checkpoint.
        checkpoint_sha256: Hash of the checkpoint's files.
    """

    def __init__(
        self, folder: Path, inputs: Sequence[Path], checkpoint: str, checkpoint_sha256: str
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.path = folder / LOG
        self.checkpoint = checkpoint
        self.checkpoint_sha256 = checkpoint_sha256
        self.pictures = name_pictures(folder, inputs)

    def write(self, *verdicts: Verdict) -> None:
        """Appends the line of each input.

        Raises:
            OSError: The disk is full, or the log cannot be written.
        """
        for verdict in verdicts:
            origin = verdict.origin
            line = {
                **verdict.to_dict(),
                "input_sha256": origin.sha256 if origin else compute_sha256(Path(verdict.input)),
                "checkpoint": self.checkpoint,
                "checkpoint_sha256": self.checkpoint_sha256,
                "version": dfjax.__version__,
                "time": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
            }
            _append(self.path, json.dumps(line))


def draw_picture(verdict: Verdict, path: Path) -> None:
    """Draws the picture of one input if it was scored.

    If it cannot be written, a note says so and the others go on.

    Args:
        verdict: Verdict on the input.
        path: PNG file.

    Raises:
        OSError: The disk is full.
    """
    if verdict.status != "ok":
        return
    try:
        verdict.show(path)
    except OSError as error:
        if is_full_disk(error):
            raise
        say(f"note: the picture of {verdict.input} is not written: {error.strerror}")


def _append(path: Path, line: str) -> None:
    """Appends a line, below one that a kill or a full disk has cut short."""
    with path.open("ab+") as file:
        if size := file.seek(0, os.SEEK_END):
            file.seek(size - 1)
        before = file.read(1)
        file.write((b"\n" if before not in (b"", b"\n") else b"") + line.encode() + b"\n")


def compute_sha256(path: Path) -> str | None:
    """Returns the SHA-256 of a regular file, or None where it cannot be opened."""
    if not path.is_file() or not os.access(path, os.R_OK):
        return None
    return hash_file(path)
