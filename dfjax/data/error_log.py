"""`errors.jsonl`: the inputs that were left out, one JSON object a line."""

import json
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
        path.unlink(missing_ok=True)

    def add(self, *, video_id: str, path: str, stage: str, error: str) -> None:
        """Appends one error; `stage` is the step that failed (`probe`, `extract`, …)."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        line = {"video_id": video_id, "path": path, "stage": stage, "error": error}
        with self.path.open("a") as file:
            file.write(json.dumps(line) + "\n")
        self.count += 1
