"""The page on one input that `dfjax predict` writes: verdict, limits, time, faces, heat."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

import dfjax
from dfjax.console import one_line
from dfjax.evaluation.charts.markup import Html, make_figure, make_grid, tag, to_html
from dfjax.evaluation.charts.page import Section, make_page, write_page
from dfjax.evaluation.charts.pictures import draw_strip
from dfjax.evaluation.figures.explanation_sheet import overlay
from dfjax.inference.explanation import ClipExplanation
from dfjax.inference.explanation_pictures import average_weights, find_side, list_deciding
from dfjax.inference.verdict import Verdict
from dfjax.inference.verdict_parts import cut_faces, draw_timeline, draw_verdict

SHOWN, SIDE = 6, 200

HEAT = (
    "Warm colours are evidence for fake (Grad-CAM of all streams together). A map says where the "
    "detector looks, and not whether it is right. The effect of a frame is how much the logit "
    "falls without it."
)


def write_verdict_page(
    verdict: Verdict, path: Path, *, checkpoint: str, explanations: Sequence[ClipExplanation] = ()
) -> None:
    """Writes the page on one scored input.

    Args:
        verdict: Verdict whose status is `ok`.
        path: HTML file to write.
        checkpoint: Name of the checkpoint.
        explanations: Explanations of clips, for the heat maps; empty for none.
    """
    strip = verdict.make_strip()
    sections = [
        Section("verdict", "Verdict", [draw_verdict(verdict, checkpoint)]),
        Section("time", "Score over time", [draw_timeline(strip, verdict)]),
        Section(
            "faces",
            "Faces",
            [tag("div", draw_strip(cut_faces(strip), "the face", side=SIDE), class_="faces")],
        ),
        Section("heat", "Where the detector looks", _draw_heat(explanations, verdict), HEAT),
    ]
    title = one_line(Path(verdict.input).name)
    write_page(path, make_page(title, f"dfjax {dfjax.__version__} · {checkpoint}", sections))


def _draw_heat(explanations: Sequence[ClipExplanation], verdict: Verdict) -> list[Html]:
    """Returns the deciding frames with their heat, and a line that says which clips they are of."""
    if not explanations:
        return []
    rows = list_deciding(explanations, find_side(verdict))
    effects = {row["number"]: row["effect"] for row in rows[:SHOWN]}
    figures = []
    for number in sorted(effects):
        clip = next(one for one in explanations if number in one.position[one.mask])
        place = int(np.flatnonzero(clip.mask & (clip.position == number))[0])
        pictures = [clip.frames[place], overlay(clip.frames[place], clip.combined[place])]
        title = to_html(f"frame {number}", tag("small", f"effect {effects[number]:+.2f}"))
        figures.append(make_figure(title, draw_strip(pictures, f"frame {number}", side=SIDE)))
    said = f"The {len(effects)} frames that decide most"
    if (count := len(verdict.clip_scores["fake_prob"])) > 1:
        said += f", of the {len(explanations)} of {count} clips that speak most for the verdict"
    weights = average_weights(explanations)
    if weights:
        named = ", ".join(f"{name} {weight:.2f}" for name, weight in weights.items())
        said += f". Weights of the streams: {named}"
    return [tag("p", f"{said}."), make_grid(figures)]
