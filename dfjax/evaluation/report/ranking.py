"""Ranks videos by uncertainty, loss or disagreement, for review or labelling."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from rich.console import RenderableType
from rich.markup import escape
from rich.table import Table

from dfjax.console import one_line
from dfjax.errors import UsageError, unknown
from dfjax.evaluation.metrics.uncertainty import MEASURES
from dfjax.evaluation.tables.column_names import TableForm
from dfjax.evaluation.tables.normalisation import normalise
from dfjax.evaluation.tables.predictions import read_sources
from dfjax.evaluation.videos.aggregation import KEY, VIDEO, coarsest
from dfjax.files import atomic_path
from dfjax.json_files import parse_json
from dfjax.outputs import check_outputs
from dfjax.results import Result

LINE = {"input": str, "fake_prob?": (float, None)}
"""Schema of a line of `predictions.jsonl`, as far as a ranking reads it."""
START = b'{"input": '
"""Start of these lines."""

SHOWN = 20
"""Number of ranked videos that a description lists."""

UNLABELLED = -1
"""Label of a video that has none."""


@dataclasses.dataclass(frozen=True)
class Ranking(Result):
    """Ranked videos.

    Attributes:
        by: Name of the ranking.
        videos: One row per video, the highest value first: `rank video_id dataset label method
            fake_prob value files`. The label of an unlabelled video is missing.
        left_out: Number of videos for which the value is undefined.
        out: CSV file of the ranked videos, or None.
    """

    by: str
    videos: pd.DataFrame
    left_out: int
    out: Path | None = None

    @property
    def has_findings(self) -> bool:
        """False: a video without a value is not to be ranked."""
        return False

    def describe(self) -> list[RenderableType]:
        """Returns a table of the first videos, and a line that names the file."""
        title, more = f"{len(self.videos)} videos by {self.by}", len(self.videos) - SHOWN
        lines: list[RenderableType] = [make_table(self.videos.head(SHOWN), title)]
        lines += [f"… and {more} more"] if more > 0 else []
        return [*lines, f"written to {self.out}"] if self.out else lines

    def list_errors(self) -> list[str]:
        """Returns a line that counts the videos that were left out."""
        n = self.left_out
        return [f"{n} videos have no {self.by}: left out"] if n else []

    def to_json(self) -> dict[str, Any]:
        """Returns the ranked videos as `dfjax data rank --json` prints them."""
        rows = self.videos.astype(object).where(self.videos.notna(), None).to_dict("records")
        return super().to_json() | {"videos": rows}


def rank_videos(
    files: Sequence[Path], by: str, *, top: int | None = None, out: Path | None = None
) -> Ranking:
    """Returns the ranked videos of prediction files.

    Args:
        files: Prediction files that `read_unlabelled` can read.
        by: Name of a ranking, a key of `RANKINGS`.
        top: Number of videos to keep; None for all.
        out: CSV file for the ranked videos; None for no file.

    Raises:
        UsageError: `top` is not positive, `out` is a folder, or the videos cannot be ranked
            (`rank`).
    """
    if top is not None and top < 1:
        raise UsageError(f"top must be positive, not {top}")
    if out is not None:
        check_outputs([out], inputs=files)
    if by not in RANKINGS:
        raise unknown("ranking", by, RANKINGS)
    ranking = rank([read_unlabelled(path) for path in files], by)
    videos = ranking.videos.head(top) if top else ranking.videos
    ranking = dataclasses.replace(ranking, videos=videos, out=out)
    if out is not None:
        with atomic_path(out) as partial:
            ranking.videos.to_csv(partial, index=False)
    return ranking


def read_unlabelled(path: Path) -> pd.DataFrame:
    """Returns the predictions in a file; missing labels are `UNLABELLED`.

    The file may also be a `predictions.jsonl` of `dfjax predict`. Its inputs are the video ids,
    inputs without a score are left out, and the last line of an input is used.

    Raises:
        UsageError: As `read_predictions`, except that labels may be missing.
    """
    if path.suffix.lower() == ".jsonl":
        table = _read_lines(path)
    else:
        ((read, _),) = read_sources([path], TableForm())
        table = read.table
    if "label" not in table:
        table["label"] = np.nan
    words = table["label"].astype("object")
    known = words.notna() & ~words.astype(str).str.strip().isin(["", str(UNLABELLED)])
    # `normalise` requires labels, but its other results do not depend on their values.
    table["label"] = words.where(known, 0)
    normalise(table, str(path), None)
    table["label"] = table["label"].where(known, UNLABELLED).astype("int8")
    table.loc[~known & (table["method"] == "real"), "method"] = "unknown"
    return table


def rank(tables: Sequence[pd.DataFrame], by: str) -> Ranking:
    """Returns the videos of all tables, joined by (dataset, video_id), the highest value first.

    The score of a video in a table is the mean over its rows. Values are means over the tables,
    except that `disagreement` is the standard deviation over them. Equal values are sorted by id.

    Args:
        tables: Predictions as `read_unlabelled` returns them.
        by: Name of a ranking, a key of `RANKINGS`.

    Raises:
        UsageError: `by` is unknown, the tables lack the columns it needs, a video has two labels,
            or no video can be ranked.
    """
    if by not in RANKINGS:
        raise unknown("ranking", by, RANKINGS)
    rows = pd.concat(
        [_aggregate(table).assign(file=number) for number, table in enumerate(tables)],
        ignore_index=True,
    )
    labels = rows[rows["label"] != UNLABELLED].groupby(VIDEO)["label"].nunique()
    if (labels > 1).any():
        raise UsageError(f"{'/'.join(labels.index[labels > 1][0])} is labelled real and fake")
    value = RANKINGS[by](rows, len(tables))
    videos = rows.groupby(VIDEO, sort=True)
    table = pd.DataFrame(
        {
            "label": videos["label"].max(),  # a file may have no label where another has one
            "method": videos["method"].first(),
            "fake_prob": videos["fake_prob"].mean(),
            "value": value,
            "files": videos["file"].nunique(),
        }
    ).reset_index()
    ranked = table.dropna(subset="value").sort_values(
        ["value", "video_id"], ascending=[False, True], kind="stable"
    )
    if not len(ranked):
        raise UsageError(f"no video can be ranked by {by}")
    ranked["label"] = ranked["label"].astype("Int8").replace(UNLABELLED, pd.NA)
    ranked.insert(0, "rank", np.arange(1, len(ranked) + 1))
    columns = ["rank", "video_id", "dataset", "label", "method", "fake_prob", "value", "files"]
    return Ranking(by, ranked[columns].reset_index(drop=True), len(table) - len(ranked))


def _read_lines(path: Path) -> pd.DataFrame:
    if not path.is_file():
        raise UsageError(f"no predictions file {path}")
    lines = [
        parse_json(line, LINE, name=str(path), remedy="it is no output of `dfjax predict`")
        for line in path.read_bytes().splitlines()
        if line.strip() and not _is_cut(line)
    ]
    named = [{"video_id": n["input"], **n} for n in lines if n.get("fake_prob") is not None]
    names = ["video_id", "fake_prob", *MEASURES]
    table = pd.DataFrame(named, columns=names).dropna(axis=1, how="all")
    return table.drop_duplicates("video_id", keep="last").reset_index(drop=True)


def _is_cut(line: bytes) -> bool:
    """Returns whether a line is the beginning of one that a killed process was writing."""
    return line[: len(START)] == START[: len(line)] and not line.rstrip().endswith(b"}")


def _aggregate(table: pd.DataFrame) -> pd.DataFrame:
    """Returns one row per video of a file: means over its coarsest unit."""
    rows = coarsest(table[np.isfinite(table["fake_prob"])].drop_duplicates(KEY))
    measures = [name for name in MEASURES if name in rows]
    videos = rows.groupby(VIDEO, sort=True)
    first = videos[["label", "method"]].first()
    return first.join(videos[["fake_prob", *measures]].mean()).reset_index()


def _by_uncertainty(rows: pd.DataFrame, files: int) -> pd.Series:
    name = "mutual_information"
    if name not in rows or rows[name].isna().all():
        raise UsageError(
            f"ranking by uncertainty needs the column {name}, which `dfjax evaluate` and `dfjax "
            "predict` write with several passes of dropout or an ensemble; ranking by confidence "
            "needs scores only"
        )
    return rows.groupby(VIDEO)[name].mean()


def _by_confidence(rows: pd.DataFrame, files: int) -> pd.Series:
    probs = rows.groupby(VIDEO)["fake_prob"].mean()
    return np.minimum(probs, 1.0 - probs)


def _by_loss(rows: pd.DataFrame, files: int) -> pd.Series:
    tiny = np.finfo(np.float64).eps
    of_label = np.where(rows["label"] == 1, rows["fake_prob"], 1.0 - rows["fake_prob"])
    loss = -np.log(np.clip(of_label, tiny, 1.0))
    known = rows["label"] != UNLABELLED
    return pd.Series(loss, rows.index)[known].groupby([rows[name] for name in VIDEO]).mean()


def _by_disagreement(rows: pd.DataFrame, files: int) -> pd.Series:
    if files < 2:
        raise UsageError("ranking by disagreement needs at least two prediction files")
    spread = rows.groupby(VIDEO)["fake_prob"].std(ddof=0)
    return spread.where(rows.groupby(VIDEO)["file"].nunique() > 1)


RANKINGS: dict[str, Callable[[pd.DataFrame, int], Any]] = {
    "uncertainty": _by_uncertainty,
    "confidence": _by_confidence,
    "loss": _by_loss,
    "disagreement": _by_disagreement,
}
"""Function that computes the value of each video, by the name of the ranking."""


def make_table(videos: pd.DataFrame, title: str) -> Table:
    """Returns ranked videos as a table for a terminal."""
    table = Table(title=title, title_justify="left", box=None)
    for name in ("rank", "P(fake)", "value", "label", "video"):
        table.add_column(name, justify="left" if name == "video" else "right", no_wrap=True)
    for row in videos.itertuples():
        label = "–" if pd.isna(row.label) else ("real", "fake")[row.label]
        name = escape(one_line(row.video_id))
        table.add_row(str(row.rank), f"{row.fake_prob:.3f}", f"{row.value:.4f}", label, name)
    return table
