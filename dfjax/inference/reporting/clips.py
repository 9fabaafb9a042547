"""Thumbnails of clips in a report: the worst errors, the least confident and the uncertain ones."""

from __future__ import annotations

from typing import Any

import numpy as np
from jaxtyping import UInt8

from dfjax import FAKE
from dfjax.data.store.frame_store import FrameStore
from dfjax.errors import InputError, UsageError
from dfjax.evaluation.charts.markup import Html, tag
from dfjax.evaluation.charts.pictures import draw_strip
from dfjax.evaluation.metrics.uncertainty import aggregate_uncertainty, has_uncertainty
from dfjax.evaluation.videos.aggregation import aggregate, clean
from dfjax.experiment import run_data
from dfjax.inference.evaluation_data import find_crops
from dfjax.inference.reporting.sources import Evaluation, RunSource

SHOWN = 8
"""Number of clips of each kind."""
SHOWN_FRAMES = 3
"""Frames of a clip: 3 kB each."""


def open_frames(run: RunSource) -> FrameStore | None:
    """Returns the crops of a run's data, or None, with a note, where they are missing.

    A synthetic set is used if the run has made it; a report makes none.
    """
    config = run.config
    named = bool(config.data.path or config.data.features)
    if not named and not (run.workdir / "data" / "pack" / "checksums.json").is_file():
        run.notes.append("there are no thumbnails: the data of this run are missing")
        return None
    try:
        return find_crops(run_data.open_data(config, run.workdir))
    except (UsageError, InputError) as error:
        run.notes.append(f"there are no thumbnails: {error}")
        return None


def draw_clips(evaluation: Evaluation, data: FrameStore | None) -> list[tuple[str, Html]]:
    """Returns the worst errors, the least confident correct and the uncertain videos, by title.

    Args:
        evaluation: Evaluation with predictions.
        data: Crops of the videos; None for cards without thumbnails.
    """
    if evaluation.predictions is None:
        return []
    videos = aggregate(clean(evaluation.predictions))
    fake = videos["label"] == FAKE
    margin = (videos["fake_prob"] - 0.5) * np.where(fake, 1.0, -1.0)
    right = (videos["fake_prob"] >= 0.5) == fake
    kinds = {
        "Worst errors": videos.loc[margin[~right].sort_values(kind="stable").index],
        "Least confident correct verdicts": videos.loc[
            margin[right].sort_values(kind="stable").index
        ],
    }
    if has_uncertainty(evaluation.predictions):
        doubts = aggregate_uncertainty(evaluation.predictions)
        doubts = doubts.sort_values("mutual_information", ascending=False, kind="stable")
        methods = videos.set_index("video_id")["method"]
        kinds["Most uncertain"] = doubts.assign(
            method=methods.reindex(doubts["video_id"]).to_numpy()
        )
    rows = {} if data is None else {name: row for row, name in enumerate(data.index["video_id"])}
    return [
        (title, tag("div", *(_draw_card(v, rows, data) for v in table.head(SHOWN).itertuples()),
                    class_="clips"))
        for title, table in kinds.items()
        if len(table)
    ]  # fmt: skip


def _draw_card(video: Any, rows: dict[str, int], data: FrameStore | None) -> Html:
    label = "fake" if video.label == FAKE else "real"
    row = rows.get(video.video_id)
    pictures = "" if data is None or row is None else draw_strip(_read(data, row), video.video_id)
    spread = getattr(video, "fake_prob_sd", None)
    doubt = "" if spread is None else f" ± {spread:.3f}"
    return tag(
        "div",
        tag("b", f"P(fake) {video.fake_prob:.3f}{doubt}"),
        tag("p", f"is {label}" + (f": {video.method}" if label == "fake" else "")),
        pictures,
        tag("p", tag("code", video.video_id)),
        class_=f"card {label}",
    )


def _read(data: FrameStore, row: int) -> UInt8[np.ndarray, "T H W 3"]:
    numbers = data.frame_numbers(row)
    places = np.unique(np.linspace(0, len(numbers) - 1, SHOWN_FRAMES).round().astype(int))
    return data.read(row, numbers[places])
