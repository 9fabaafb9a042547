"""The results of an ablation table as Markdown, CSV, JSON and a plot with intervals."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from dfjax.evaluation.figures.style import FAKE_COLOUR, INK, QUIET, REAL_COLOUR, canvas
from dfjax.files import atomic_path

AVERAGED = ("video_auc", "unseen", "accuracy", "f1", "parameters", "seconds", "clips_per_s")
LEVEL = 0.95


def summarise_rows(lines: pd.DataFrame) -> list[dict[str, Any]]:
    """Returns a dict for each row of the table: means over its seeds, and an interval of the AUC.

    With one seed `video_auc_ci` is the bootstrap interval of the evaluation. With several seeds it
    is the interval of their mean (Student's t), which covers the variation between seeds and not
    that between test sets; `video_auc_sd` is then the standard deviation over seeds.

    Args:
        lines: Table with one line per row and seed: `row`, `change`, `seed`, `error`, and the
            results of the run.
    """
    rows = []
    for name, group in lines.groupby("row", sort=False):
        good = group[group["error"] == ""]
        row: dict[str, Any] = {"row": name, "change": group["change"].iloc[0], "n": len(good)}
        row["errors"] = sorted(set(group["error"]) - {""})
        for key in AVERAGED:
            values = good[key].dropna() if key in good else pd.Series(dtype=float)
            row[key] = float(values.mean()) if len(values) else None
        aucs = good["video_auc"].dropna().to_numpy(float) if "video_auc" in good else np.zeros(0)
        row["video_auc_each"] = aucs.tolist()
        row["video_auc_sd"] = float(aucs.std(ddof=1)) if len(aucs) > 1 else None
        row["video_auc_ci"] = _interval(good, aucs)
        rows.append(row)
    return rows


def _interval(good: pd.DataFrame, aucs: np.ndarray) -> list[float] | None:
    if len(aucs) == 1:
        interval = good["video_auc_ci"].iloc[0]
        return list(interval) if isinstance(interval, list | tuple) else None
    if not len(aucs):
        return None
    half = stats.t.ppf((1 + LEVEL) / 2, len(aucs) - 1) * stats.sem(aucs)
    return [max(0.0, float(aucs.mean() - half)), min(1.0, float(aucs.mean() + half))]


def make_markdown(rows: list[dict[str, Any]], title: str, notes: Sequence[str] = ()) -> str:
    """Returns the table as Markdown, with a title and notes on how the numbers were computed.

    Args:
        rows: Rows from `summarise_rows`.
        title: Title; it names the data sets, so that results on synthetic data are marked.
        notes: Further lines below the table.
    """
    unseen = any(row["unseen"] is not None for row in rows)
    seeds = max(row["n"] for row in rows)
    header = ["", "video AUC [95 %]", *(["unseen methods"] if unseen else []), "accuracy", "F1"]
    header += ["parameters", "s", "clips/s"]
    body = [header, ["---", *["---:"] * (len(header) - 1)]]
    for row in rows:
        cells = [row["row"], _auc(row), *([_number(row["unseen"])] if unseen else [])]
        cells += [_number(row["accuracy"]), _number(row["f1"])]
        cells += [_count(row["parameters"]), _count(row["seconds"]), _count(row["clips_per_s"])]
        body.append(cells)
    over = "1,000 resamples of videos" if seeds == 1 else f"{seeds} seeds (mean ± sd; Student's t)"
    note = f"The test split was evaluated {len(rows) * max(1, seeds)} times; intervals over {over}."
    note += " The metrics of the best row are optimistic, since it was chosen on the test split."
    changes = [f"- {row['row']}: `{row['change']}`" for row in rows if row["change"]]
    failed = [f"- {row['row']} failed: {error}" for row in rows for error in row["errors"]]
    lines = [f"# {title}", "", *(f"| {' | '.join(cells)} |" for cells in body), "", note, ""]
    return "\n".join([*lines, *changes, *failed, *(f"- {note}" for note in notes)]) + "\n"


def write_report(
    folder: str | os.PathLike[str],
    lines: pd.DataFrame,
    rows: list[dict[str, Any]],
    title: str,
    notes: Sequence[str] = (),
) -> None:
    """Writes `table.md`, `table.csv` (a line per seed), `table.json` and `table.png`.

    Args:
        folder: Folder of the files.
        lines: Table with one line per row and seed.
        rows: Rows from `summarise_rows`.
        title: Title of the table and the picture.
        notes: Further lines below the table.
    """
    out = Path(folder)
    _write(out / "table.md", make_markdown(rows, title, notes))
    _write(out / "table.csv", lines.to_csv(index=False))
    _write(out / "table.json", json.dumps({"title": title, "rows": rows}, indent=2) + "\n")
    plot_rows(rows, out / "table.png", title)


def plot_rows(rows: list[dict[str, Any]], path: str | os.PathLike[str], title: str) -> None:
    """Draws the video AUC of every row: the value of each seed, the mean and the interval.

    Args:
        rows: Rows from `summarise_rows`.
        path: PNG file to write.
        title: Title of the picture.
    """
    with canvas(path, size=(8.0, 1.4 + 0.42 * len(rows))) as drawn:
        axes = drawn.subplots()
        places = np.arange(len(rows))[::-1]
        for place, row in zip(places, rows):
            if row["video_auc"] is None:
                axes.text(0.5, place, "failed", color=QUIET, ha="center", va="center")
                continue
            if row["video_auc_ci"]:
                axes.plot(row["video_auc_ci"], [place] * 2, color=REAL_COLOUR, alpha=0.35, lw=6)
            each = row["video_auc_each"]
            if len(each) > 1:
                axes.plot(each, [place] * len(each), "o", ms=4, mfc="white", mec=REAL_COLOUR)
            axes.plot(row["video_auc"], place, "o", ms=8, color=REAL_COLOUR, zorder=3)
            axes.annotate(
                f"{row['video_auc']:.3f}", (row["video_auc"], place), xytext=(0, 8),
                textcoords="offset points", ha="center", fontsize=9, color=INK,
            )  # fmt: skip
        first = rows[0]["video_auc"]
        if first is not None:
            axes.axvline(first, color=QUIET, lw=1, ls=(0, (4, 4)), zorder=0)
        low = min((row["video_auc_ci"] or [row["video_auc"] or 1.0])[0] for row in rows)
        axes.set_xlim(min(0.5, math.floor(10 * low) / 10) if low < 0.6 else _floor(low), 1.005)
        if axes.get_xlim()[0] < 0.5:
            axes.axvline(0.5, color=FAKE_COLOUR, lw=1)
        axes.set(yticks=places, ylim=(-0.6, len(rows) - 0.2), xlabel="video AUC, test split")
        axes.set_yticklabels([row["row"] for row in rows])
        axes.grid(axis="y", visible=False)
        axes.tick_params(axis="y", length=0)
        drawn.suptitle(title, x=0.01, ha="left", color=QUIET, fontsize=11)


def _floor(low: float) -> float:
    """Returns `low` rounded down to a multiple of 0.05."""
    return math.floor(20 * low) / 20


def _auc(row: dict[str, Any]) -> str:
    if row["video_auc"] is None:
        return "failed"
    low, high = row["video_auc_ci"] or (math.nan, math.nan)
    spread = "" if row["video_auc_sd"] is None else f" ± {row['video_auc_sd']:.3f}"
    return f"{row['video_auc']:.3f}{spread} [{low:.3f}, {high:.3f}]"


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"


def _count(value: float | None) -> str:
    return "–" if value is None else f"{value:,.0f}"


def _write(path: Path, text: str) -> None:
    with atomic_path(path) as partial:
        partial.write_text(text, encoding="utf-8")
