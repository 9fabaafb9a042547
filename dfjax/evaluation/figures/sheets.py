"""Pictures of scored faces: a contact sheet of clips, and the strip of one input."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float, UInt8
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure
from matplotlib.patches import Rectangle

from dfjax import FAKE
from dfjax.evaluation.figures.style import FAKE_COLOUR, INK, QUIET, REAL_COLOUR, canvas

COLUMNS = 6
MOST_TITLE = 100  # characters
SHOWN_FRAMES = 3  # of each clip in a sheet


class Tile(NamedTuple):
    """One clip of a sheet: its frames, label, score and caption."""

    frames: UInt8[np.ndarray, "T H W 3"]
    label: int
    fake_prob: float
    caption: str


class Strip(NamedTuple):
    """A scored input: some of its frames, the face boxes, and a score per clip.

    Attributes:
        frames: A few RGB frames of any size.
        boxes: Face boxes (x1, y1, x2, y2) in pixels of the frames; NaN where no face was searched
            for.
        found: Whether the face was detected in each frame; otherwise its box is interpolated.
        numbers: Source frame number of each frame.
        clip_starts: First source frame number of each scored clip.
        clip_ends: Last source frame number of each clip.
        clip_probs: P(fake) of each clip.
    """

    frames: Sequence[UInt8[np.ndarray, "H W 3"]]
    boxes: Float[np.ndarray, "T 4"]
    found: Bool[np.ndarray, "T"]
    numbers: Sequence[int]
    clip_starts: Sequence[int]
    clip_ends: Sequence[int]
    clip_probs: Sequence[float]


def choose_examples(videos: pd.DataFrame, count: int) -> pd.DataFrame:
    """Returns up to `count` videos, half of each class, at evenly spaced quantiles of their scores.

    Args:
        videos: One row per video (`aggregation.aggregate`).
        count: Largest number of videos to return.
    """
    chosen = []
    for label in (0, 1):
        rows = videos[videos["label"] == label].sort_values(["fake_prob", "video_id"])
        places = np.linspace(0, len(rows) - 1, min(count // 2, len(rows))).round().astype(int)
        chosen.append(rows.iloc[places])
    return pd.concat(chosen)


def draw_sheet(tiles: Sequence[Tile], path: str | os.PathLike[str], *, title: str = "") -> None:
    """Writes a contact sheet: frames of each clip with its P(fake) and a border for its class.

    A wrong verdict (threshold 0.5) is printed in bold.

    Args:
        tiles: Clips to draw.
        path: PNG file to write.
        title: Title of the sheet.
    """
    columns = min(COLUMNS, max(4, len(tiles)))  # the title needs the width of four
    rows = -(-len(tiles) // columns)
    size = (columns * 2.1, rows * 1.02 + 0.45)
    with canvas(path, size=size, margins=0.06) as drawn:
        grid = drawn.subplots(rows, columns, squeeze=False)
        for axes in grid.flat:
            axes.axis("off")
        for axes, tile in zip(grid.flat, tiles):
            _draw_tile(axes, tile)
        drawn.suptitle(
            f"{title}   border: blue real, orange fake · bold: wrong verdict",
            x=0.01, ha="left", color=QUIET, fontsize=10,
        )  # fmt: skip


def _draw_tile(axes: Axes, tile: Tile) -> None:
    places = np.linspace(0, len(tile.frames) - 1, SHOWN_FRAMES).round().astype(int)
    picture = np.concatenate([tile.frames[i] for i in places], axis=1)
    height, width = picture.shape[:2]
    axes.imshow(picture, interpolation="lanczos")
    colour = FAKE_COLOUR if tile.label == FAKE else REAL_COLOUR
    axes.add_patch(
        Rectangle((-0.5, -0.5), width, height, fill=False, ec=colour, lw=4, clip_on=False)
    )
    wrong = (tile.fake_prob >= 0.5) != (tile.label == FAKE)
    axes.set_title(
        f"{tile.fake_prob:.3f}  {tile.caption}",
        fontsize=8.5, pad=4, color=INK, fontweight="bold" if wrong else "normal",
    )  # fmt: skip


def draw_strip(
    strip: Strip, *, title: str, fake_prob: float, path: str | os.PathLike[str] | None = None
) -> Figure:
    """Returns a figure of the frames of an input with the box of the face, and P(fake) over time.

    A dashed box is interpolated between detections.

    Args:
        strip: Frames, boxes and scores.
        title: Name of the input.
        fake_prob: P(fake) of the whole input.
        path: PNG file that the figure is also written to; None for no file.
    """
    height, width = strip.frames[0].shape[:2]
    tall = min(2.6, max(1.3, 12.0 / len(strip.frames) * height / width))
    if len(strip.numbers) == 1:  # an image has no time axis
        with canvas(path, size=(8.0, tall + 0.8), margins=0.05) as drawn:
            _draw_frames(drawn, strip)
            _draw_title(drawn, title, fake_prob)
        return drawn
    with canvas(path, size=(12.0, tall + 2.2), margins=0.05) as drawn:
        parts = drawn.subfigures(2, 1, squeeze=False, height_ratios=[tall + 0.35, 1.85])
        top, bottom = np.ravel(parts)
        _draw_frames(top, strip)
        _draw_timeline(bottom, strip, fake_prob)
        _draw_title(drawn, title, fake_prob)
    return drawn


def _draw_title(drawn: Figure, title: str, fake_prob: float) -> None:
    verdict = "fake" if fake_prob >= 0.5 else "real"
    title = title if len(title) <= MOST_TITLE else f"{title[: MOST_TITLE - 1]}…"
    text = f"{title}   ·   {verdict}, P(fake) {fake_prob:.3f}"
    style = {"color": _colour(fake_prob), "fontsize": 13, "fontweight": "bold"}
    drawn.suptitle(text, x=0.01, ha="left", **style)


def _draw_frames(figure: SubFigure | Figure, strip: Strip) -> None:
    grid = figure.subplots(1, len(strip.frames), squeeze=False)[0]
    for axes, frame, box, found, number in zip(
        grid, strip.frames, strip.boxes, strip.found, strip.numbers
    ):
        axes.imshow(frame)
        axes.set_xlim(-0.5, frame.shape[1] - 0.5)
        axes.set_ylim(frame.shape[0] - 0.5, -0.5)
        x0, y0, x1, y1 = (float(v) for v in box)
        style = "-" if found else (0, (3, 2))
        if np.isfinite(x0):
            axes.add_patch(
                Rectangle((x0, y0), x1 - x0, y1 - y0, fill=False, ec="white", lw=2, ls=style)
            )
        axes.set_title(f"frame {number}", fontsize=9, fontweight="normal", loc="center", pad=3)
        axes.axis("off")


def _draw_timeline(figure: SubFigure | Figure, strip: Strip, fake_prob: float) -> None:
    axes = figure.subplots()
    for start, end, prob in zip(strip.clip_starts, strip.clip_ends, strip.clip_probs):
        width = max(end - start, 0.8)
        axes.bar(start, prob, width, align="edge", color=_colour(prob), alpha=0.35, lw=0)
        axes.plot([start, start + width], [prob, prob], color=_colour(prob), lw=2.5)
    axes.axhline(0.5, color=QUIET, lw=1, ls=(0, (4, 4)))
    axes.axhline(fake_prob, color=INK, lw=1)
    axes.set(ylim=(0, 1.02), xlabel="source frame", ylabel="P(fake)")
    axes.set_yticks([0, 0.5, 1])


def _colour(prob: float) -> str:
    return FAKE_COLOUR if prob >= 0.5 else REAL_COLOUR
