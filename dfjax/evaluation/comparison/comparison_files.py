"""Files of a comparison of detectors: JSON, Markdown and CSV."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dfjax.evaluation.comparison.differences import Comparison
from dfjax.evaluation.report.markdown import format_markdown
from dfjax.files import atomic_path, write_json, write_text
from dfjax.outputs import COMMENT

COMPARISON_FILES = ("comparison.json", "comparison.md", "comparison.csv")


def write_comparison(
    comparison: Comparison, out: Path, chosen: Mapping[str, Any] | None = None
) -> None:
    """Writes `COMPARISON_FILES` to a folder.

    Args:
        comparison: Differences between detectors.
        out: Folder of the files.
        chosen: Detectors chosen as checkpoints are (`choose_checkpoints`), or None.
    """
    more = {"chosen": dict(chosen)} if chosen else {}
    write_json(out / COMPARISON_FILES[0], comparison.to_json() | more)
    lines = [COMMENT, f"# {comparison.heading}", ""]
    lines += [format_markdown(comparison.shown), "", *(f"{note}." for note in comparison.remarks)]
    write_text(out / COMPARISON_FILES[1], "\n".join(lines) + "\n")
    with atomic_path(out / COMPARISON_FILES[2]) as partial:
        comparison.table.to_csv(partial, index=False)
