"""Writes and reads `errors.jsonl`: the inputs that were left out, one JSON object per line."""

import contextlib
import json
import re
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from dfjax.errors import FileError
from dfjax.json_files import parse_json

ENTRY = {"video_id": str, "error": str}
"""Schema of a line of the log."""


class ErrorLog:
    """Log of unusable inputs. The file is created with the first error.

    Attributes:
        path: File of the log.
        count: Number of errors so far.
    """

    def __init__(self, path: Path) -> None:
        """Starts an empty log and removes that of an earlier run."""
        self.path = path
        self.count = 0
        self._reasons: list[str] = []
        path.unlink(missing_ok=True)

    def add(self, *, video_id: str, path: str, stage: str, error: str) -> None:
        """Appends one error and flushes the file.

        Args:
            video_id: The video in the index.
            path: Path of the unusable file.
            stage: Step that failed, such as `probe` or `extract`.
            error: Reason.
        """
        self.path.parent.mkdir(parents=True, exist_ok=True)
        line = {"video_id": video_id, "path": path, "stage": stage, "error": error}
        with self.path.open("a") as file:
            file.write(json.dumps(line) + "\n")
        self.count += 1
        self._reasons.append(error)

    def describe(self) -> str:
        """Returns the commonest reasons in brackets, or an empty string without errors."""
        return f" ({count_reasons(self._reasons)})" if self._reasons else ""


def count_reasons(reasons: Iterable[str], most: int = 3) -> str:
    """Returns the commonest reasons and how often each occurs, such as `3 times: empty file`.

    Reasons that differ only in numbers or in text in brackets are counted together, and the first
    of them is shown.

    Args:
        reasons: Messages, one per input that could not be used.
        most: Number of reasons shown.
    """
    shown: dict[str, str] = {}
    counts: Counter[str] = Counter()
    for reason in reasons:
        key = re.sub(r"\([^)]*\)|\d+", "#", reason)
        shown.setdefault(key, reason)
        counts[key] += 1
    parts = [f"{n} times: {shown[key]}" for key, n in counts.most_common(most)]
    left = len(counts) - most
    return "; ".join(parts) + (f"; and {left} other reasons" if left > 0 else "")


def read_errors(folder: Path) -> list[dict[str, str]]:
    """Returns the entries of the log in `folder`, or an empty list without a log.

    Incomplete lines (of a killed process) and lines of other programs are skipped.
    """
    log = folder / "errors.jsonl"
    if not log.is_file():
        return []
    entries = []
    for line in log.read_text(encoding="utf-8", errors="replace").splitlines():
        with contextlib.suppress(FileError):
            entries.append(parse_json(line, ENTRY, name=str(log)))
    return entries
