"""`Report`: the result of one evaluation as an object for a notebook."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from dfjax.evaluation.flags import Flag


@dataclass(frozen=True, repr=False)
class Report:
    """The result of one evaluation.

    Attributes:
        metrics: Content of `metrics.json`.
        predictions: Table of predictions that the metrics were computed from, or None.
        out: Folder that the results were written to, or None.
    """

    metrics: dict[str, Any]
    predictions: pd.DataFrame | None = None
    out: Path | None = None

    @property
    def flags(self) -> list[Flag]:
        """Signs that the evaluation is broken, errors first."""
        flags: list[Flag] = self.metrics["flags"]
        return flags

    def __repr__(self) -> str:
        """Returns the number of videos, the AUC and the number of flags, on one line."""
        n, auc = self.metrics["n"], self.metrics["overall"]["video_auc"]
        return (
            f"Report({n['videos']} videos, video_auc={'–' if auc is None else f'{auc:.3f}'}, "
            f"{len(self.flags)} flags)"
        )
