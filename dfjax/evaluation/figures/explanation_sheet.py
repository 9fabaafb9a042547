"""Pictures of an explanation: a sheet of the deciding frames, and frames with their heat."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import cv2
import numpy as np
from jaxtyping import Bool, Float, UInt8
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from dfjax.evaluation.figures.style import FAKE_COLOUR, INK, OTHERS, QUIET, REAL_COLOUR, canvas

STRENGTH = 0.55


class Deciding(NamedTuple):
    """A frame in the sheet.

    Attributes:
        frame: The crop.
        heat: Its heat by map.
        number: Its number in the source.
        effect: Its effect on the logit.
        region: True where it is manipulated; None if this is not known.
    """

    frame: UInt8[np.ndarray, "H W 3"]
    heat: Mapping[str, Float[np.ndarray, "H W"]]
    number: int
    effect: float
    region: Bool[np.ndarray, "H W"] | None = None


class Course(NamedTuple):
    """What is drawn over time, and over shares of pixels.

    Attributes:
        numbers: Source frame numbers.
        effects: Effect of each frame on the logit.
        attention: Weights of the frames, or None.
        shares: Shares of pixels that are deleted or inserted.
        curves: P(fake) at these shares, by name.
        scores: First and last frame of each clip of the input, and its P(fake).
        explained: First frames of the clips that are explained.
        fake_prob: P(fake) of the input.
        stream_weights: Weights of the streams by the model; empty where it has none.
    """

    numbers: Sequence[int]
    effects: Sequence[float]
    attention: Sequence[float] | None
    shares: Sequence[float]
    curves: Mapping[str, Sequence[float]]
    scores: Sequence[tuple[int, int, float]]
    explained: Sequence[int]
    fake_prob: float
    stream_weights: Mapping[str, float]


def overlay(
    frame: UInt8[np.ndarray, "H W 3"], heat: Float[np.ndarray, "H W"]
) -> UInt8[np.ndarray, "H W 3"]:
    """Returns a frame with its heat, which is more opaque where it is hotter.

    The colours are those of Inferno, whose lightness grows with the value, so that they can be read
    with all kinds of colour vision.

    Args:
        frame: RGB frame.
        heat: Values from 0 to 1.
    """
    level = np.clip(heat, 0, 1)
    colours = cv2.applyColorMap((255 * level).astype(np.uint8), cv2.COLORMAP_INFERNO)[..., ::-1]
    opacity = STRENGTH * np.sqrt(level)[..., None]
    return (frame * (1 - opacity) + colours * opacity).round().astype(np.uint8)


def draw_explanation(
    frames: Sequence[Deciding],
    course: Course,
    *,
    title: str,
    path: str | os.PathLike[str] | None = None,
) -> Figure:
    """Returns a sheet: the deciding frames, their heat in each map, and curves below.

    Args:
        frames: Deciding frames. The outline of a manipulated region is dashed.
        course: What is drawn below them.
        title: Title of the sheet.
        path: PNG file that it is also written to; None for no file.
    """
    names = list(frames[0].heat)
    rows = 1 + len(names)
    with canvas(path, size=(max(13.0, 1.7 * len(frames)), 1.75 * rows + 3.2)) as drawn:
        parts = drawn.subfigures(2, 1, squeeze=False, height_ratios=[1.75 * rows, 2.8])
        top, bottom = np.ravel(parts)
        grid = top.subplots(rows, len(frames), squeeze=False)
        for column, one in enumerate(frames):
            pictures = [one.frame, *(overlay(one.frame, heat) for heat in one.heat.values())]
            for row, picture in enumerate(pictures):
                axes = grid[row, column]
                axes.imshow(picture)
                axes.set(xticks=[], yticks=[])
                axes.grid(False)
                if one.region is not None and one.region.any() and not one.region.all():
                    axes.contour(one.region, [0.5], colors="white", linestyles="--", linewidths=1)
                if not column:
                    axes.set_ylabel(["frame", *names][row], fontsize=10)
            text = f"frame {one.number}\n{one.effect:+.2f}"
            grid[0, column].set_title(text, fontsize=9, loc="center", fontweight="normal", pad=3)
        ratios = [1.0, 1.0, 1.0, *([0.6] if course.stream_weights else [])]
        panels = bottom.subplots(1, len(ratios), squeeze=False, width_ratios=ratios)[0]
        for axes, draw in zip(panels, (_draw_scores, _draw_effects, _draw_shares, _draw_weights)):
            draw(axes, course)
        drawn.suptitle(title, x=0.01, ha="left", fontsize=13, fontweight="bold", color=INK)
    return drawn


def _draw_scores(axes: Axes, course: Course) -> None:
    for first, last, prob in course.scores:
        colour = FAKE_COLOUR if prob >= 0.5 else REAL_COLOUR
        width = 4.5 if first in course.explained else 1.8
        marker = "o" if first == last else None
        axes.plot([first, last], [prob, prob], color=colour, lw=width, marker=marker)
    axes.axhline(0.5, color=QUIET, lw=1, ls=(0, (4, 4)))
    axes.axhline(course.fake_prob, color=INK, lw=1.2, ls=":", label="whole input")
    axes.set(title="P(fake) over time", xlabel="source frame; bold: clips explained here")
    axes.set(ylabel="P(fake)", ylim=(-0.03, 1.03))
    axes.legend(fontsize=8)


def _draw_weights(axes: Axes, course: Course) -> None:
    names, weights = list(course.stream_weights), list(course.stream_weights.values())
    axes.bar(names, weights, color=OTHERS[: len(names)], width=0.6)
    for place, weight in enumerate(weights):
        axes.text(place, weight + 0.02, f"{weight:.2f}", ha="center", fontsize=9, color=INK)
    axes.set(title="Stream weights", ylim=(0, 1.1))


def _draw_effects(axes: Axes, course: Course) -> None:
    colours = [FAKE_COLOUR if effect > 0 else REAL_COLOUR for effect in course.effects]
    axes.bar(course.numbers, course.effects, color=colours, width=0.8)
    axes.axhline(0, color=QUIET, lw=1)
    axes.set(title="Effect of each frame", xlabel="source frame", ylabel="on the logit")
    if course.attention is not None:
        other = axes.twinx()
        other.plot(course.numbers, course.attention, ".", color=OTHERS[0], ms=5)
        other.set_ylabel("attention", color=OTHERS[0])
        other.set_ylim(bottom=0)


def _draw_shares(axes: Axes, course: Course) -> None:
    looks = {"deletion": (FAKE_COLOUR, "-"), "insertion": (REAL_COLOUR, "-")}
    looks |= {f"random_{name}": (colour, ":") for name, (colour, _) in looks.items()}
    for name, values in course.curves.items():
        colour, style = looks[name]
        label = name.replace("_", " ")
        axes.plot(course.shares, values, color=colour, ls=style, label=label, lw=1.8)
    axes.set(title="Hottest pixels blurred or kept", xlabel="share of pixels")
    axes.set(ylabel="P(fake)", ylim=(-0.02, 1.02))
    axes.legend(fontsize=8, ncols=2)
