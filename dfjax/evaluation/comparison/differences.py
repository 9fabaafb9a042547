"""The differences between detectors as a table, in text and HTML."""

from __future__ import annotations

import math
from dataclasses import dataclass
from html import escape
from typing import Any

import pandas as pd

from dfjax.evaluation.videos.clusters import count_videos, describe_clusters
from dfjax.results import Result

FEW_CLUSTERS = 10
CELL = "padding:1px 8px;text-align:right;white-space:nowrap"


def format_p(value: float) -> str:
    """Returns a p-value with three decimal places, or `<0.001`, or a dash if it is undefined."""
    if math.isnan(value):
        return "–"
    return "<0.001" if value < 0.001 else f"{value:.3f}"


@dataclass(frozen=True, repr=False)
class Comparison(Result):
    """Differences of a metric between detectors that scored the same videos.

    Attributes:
        table: One row per pair of detectors: `a b` (names), their values `value_a value_b`,
            `difference` (a minus b) with the bounds `low high` of its 95 % interval, and `p_value`;
            for the AUC also `p_delong`, DeLong's p-value for independent videos. `p_value_holm` and
            `p_delong_holm` are corrected for the number of pairs. If the pairs have different
            videos, `videos` is their number.
        metric: Name of the metric, as in `metrics.json`.
        videos: Number of videos that all detectors scored, or the largest of a pair.
        left_out: Number of videos of each detector that some other detector did not score.
        resampled: Kind of the clusters: `group`, `origin_id`, `identity` or `video`.
        clusters: Number of clusters.
        held_back: Manipulations that were held back from some training, whose videos are left out.
    """

    table: pd.DataFrame
    metric: str
    videos: int
    left_out: dict[str, int]
    resampled: str
    clusters: int
    held_back: tuple[str, ...] = ()

    in_json = ("metric", "videos", "left_out", "resampled", "clusters", "held_back")

    def __repr__(self) -> str:
        """Returns the table, and how it was computed, as plain text."""
        shown = self.shown.to_string(index=False, float_format="{:.3f}".format)
        return "\n".join([self.heading, shown, *self.remarks])

    def describe(self) -> list[str]:
        """Returns the lines of the text."""
        return repr(self).splitlines()

    def to_json(self) -> dict[str, Any]:
        """Returns the pairs, and how they were compared, as one object for JSON."""
        return {"comparison": self.table.to_dict(orient="records")} | super().to_json()

    def _repr_html_(self) -> str:
        heads = "".join(f'<th style="{CELL}">{name}</th>' for name in self.table)
        lines = "".join(map(_draw_row, self.shown.itertuples(index=False)))
        notes = "".join(f'<div style="opacity:.7">{escape(note)}</div>' for note in self.remarks)
        return (
            '<div style="font-size:13px;line-height:1.5">'
            f"<div><b>{self.heading}</b></div>"
            '<table style="border-collapse:collapse;font-size:inherit">'
            f"<thead><tr>{heads}</tr></thead><tbody>{lines}</tbody></table>{notes}</div>"
        )

    @property
    def shown(self) -> pd.DataFrame:
        """The table with p-values as text."""
        tests = [name for name in self.table if str(name).startswith("p_")]
        return self.table.assign(**{str(one): self.table[one].map(format_p) for one in tests})

    @property
    def heading(self) -> str:
        """The metric and the number of videos in words."""
        most = "at most " if "videos" in self.table else ""
        return f"{self.metric} of {most}{count_videos(self.videos)}"

    @property
    def remarks(self) -> list[str]:
        """Sentences about how the differences were computed."""
        drawn = describe_clusters(self.resampled, self.clusters)
        notes = [f"difference: a minus b; 95 % intervals from paired resamples of {drawn}"]
        if self.clusters < FEW_CLUSTERS:
            notes.append(f"only {drawn}: intervals and p-values say nothing")
        if "p_delong" in self.table and self.table["p_delong"].isna().any():
            notes.append(
                "p_delong is undefined where a class has one video, or where the AUCs differ "
                "without any variance"
            )
        if len(self.table) > 1:
            notes.append(f"columns ending in _holm are corrected for {len(self.table)} comparisons")
        if self.held_back:
            methods = ", ".join(self.held_back)
            notes.append(f"videos of {methods}, held back from training, are left out")
        if "videos" in self.table:
            return [*notes, "every pair is compared on the videos that both scored"]
        for name, n in self.left_out.items():
            if n:
                left = f"{count_videos(n)} of {name} {'is' if n == 1 else 'are'} left out"
                notes.append(f"{left}: another detector has no score")
        return notes


def _draw_row(row: tuple[object, ...]) -> str:
    cells = [f"{x:.3f}" if isinstance(x, float) else escape(str(x)) for x in row]
    return "<tr>" + "".join(f'<td style="{CELL}">{cell}</td>' for cell in cells) + "</tr>"
