"""`errors.jsonl`: the inputs that were left out, one JSON object a line."""

import contextlib
import json
import re
from collections import Counter
from collections.abc import Iterable
from pathlib import Path


class ErrorLog:
    """Collects unusable inputs in a file, flushed line by line; no errors, no file.

    Attributes:
        count: errors so far.
    """

    def __init__(self, path: Path) -> None:
        """Starts afresh: errors of an earlier run are removed."""
        self.path = path
        self.count = 0
        self._reasons: list[str] = []
        path.unlink(missing_ok=True)

    def add(self, *, video_id: str, path: str, stage: str, error: str) -> None:
        """Appends one error; `stage` is the step that failed (`probe`, `extract`, …)."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        line = {"video_id": video_id, "path": path, "stage": stage, "error": error}
        with self.path.open("a") as file:
            file.write(json.dumps(line) + "\n")
        self.count += 1
        self._reasons.append(error)

    def describe(self) -> str:
        """Returns the commonest reasons in brackets, for a message; nothing without errors."""
        return f" ({count_reasons(self._reasons)})" if self._reasons else ""


def count_reasons(reasons: Iterable[str], most: int = 3) -> str:
    """Returns the commonest reasons and how often each occurs, such as `3 times: empty file`.

    Numbers, and what stands in brackets, do not tell reasons apart: the first of them is shown.

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
    """Returns the inputs that the step which made `folder` left out; none without a log.

    A line that a killed process did not finish, or that is of another program, is passed over.
    """
    log = folder / "errors.jsonl"
    if not log.is_file():
        return []
    entries = []
    for line in log.read_text(encoding="utf-8", errors="replace").splitlines():
        with contextlib.suppress(ValueError):
            entries.append(json.loads(line))
    return [e for e in entries if isinstance(e, dict) and {"video_id", "error"} <= e.keys()]
