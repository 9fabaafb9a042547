"""Several runs of one command, each in a workdir of its own below one folder."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from dfjax.evaluation.report_view import Report
from dfjax.files import finite


def evaluate_once(
    folder: Path, summary: dict[str, Any], evaluate: Callable[..., Report]
) -> dict[str, Any]:
    """Returns `metrics.json` of the test split; one made of the same checkpoint alone stays.

    Args:
        folder: workdir of a run that is over.
        summary: what training returned.
        evaluate: as `inference.evaluate.evaluate`.
    """
    out = folder / "eval" / "test"
    result: dict[str, Any] = {}
    if summary["status"] == "complete" and (written := out / "metrics.json").is_file():
        result = json.loads(written.read_text(encoding="utf-8"))
    if not re.fullmatch(r"best/\d+", str(result.get("checkpoint"))):  # not of an ensemble, say
        result = finite(evaluate(folder, split="test", out=out).metrics)
    return result
