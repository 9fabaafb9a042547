"""The page on one input that `dfjax predict` writes: verdict, limits, time, faces, heat."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

import dfjax
from dfjax.console import one_line
from dfjax.evaluation.charts.markup import Html, make_figure, make_grid, make_pairs, tag, to_html
from dfjax.evaluation.charts.page import Section, make_page, write_page
from dfjax.evaluation.charts.svg import COLOURS, REFERENCE, Plot, Stroke
from dfjax.evaluation.figures.explanation_sheet import overlay
from dfjax.evaluation.figures.sheets import Strip
from dfjax.inference.explain import list_deciding
from dfjax.inference.explanation import ClipExplanation
from dfjax.inference.reporting.clips import draw_strip
from dfjax.inference.verdict import Verdict

SHOWN, SIDE = 6, 200

LIMITS = (
    "The score is that of one detector. It says how much the faces resemble the fakes that the "
    "detector was trained on, and is no proof: a new kind of manipulation may score low, and "
    "compression, filters and make-up may raise the score of a real video. Parts of the video that "
    "no clip covers, people besides the main face, and the sound were not examined."
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
        Section("verdict", "Verdict", [_draw_verdict(verdict, checkpoint)]),
        Section("time", "Score over time", [draw_timeline(strip, verdict)]),
        Section("faces", "Faces", [draw_strip(_cut_faces(strip), "the face", side=SIDE)]),
        Section("heat", "Where the detector looks", [_draw_heat(explanations)], HEAT),
    ]
    title = one_line(Path(verdict.input).name)
    write_page(path, make_page(title, f"dfjax {dfjax.__version__} · {checkpoint}", sections))


HEAT = (
    "Warm colours are evidence for fake (Grad-CAM). A map says where the detector looks, and not "
    "whether it is right. Below each frame is how much the logit falls without it."
)


def _draw_verdict(verdict: Verdict, checkpoint: str) -> Html:
    kind = verdict.verdict if verdict.verdict in ("real", "fake") else None
    share = "not searched" if verdict.face_share is None else f"{verdict.face_share:.0%}"
    values = {
        "P(fake)": f"{verdict.fake_prob:.4f}",
        "confidence": f"{verdict.confidence:.1%}",
        "frames used": verdict.frames_used,
        "frames with a face": share,
        "checkpoint": checkpoint,
    }
    if verdict.calibrated_prob is not None:
        values["calibrated P(fake)"] = f"{verdict.calibrated_prob:.4f}"
    if verdict.restored:
        values["mark"] = "marked as restored by a model"
    values |= {name: f"{value:.4f}" for name, value in verdict.scores.items()}
    return to_html(
        tag("p", verdict.verdict, class_=f"verdict {kind or ''}"),
        make_pairs(values),
        tag("p", _describe_guarantee(verdict)),
        tag("p", LIMITS, class_="quiet"),
    )


def _describe_guarantee(verdict: Verdict) -> str:
    """Returns a sentence on the error rates of the verdict."""
    known = verdict.guarantee
    if known is None:
        return "The detector is not calibrated: no error rate is known for this verdict."
    if known["holds"] is False:
        return f"No error rate is guaranteed: {known['reason']}."
    rates = (known["false_alarm_rate"], known["miss_rate"])
    said = (
        "On inputs like those of the calibration, at most {:.1%} of real videos are called fake, "
        "and at most {:.1%} of fakes real.".format(*rates)
    )
    if known["holds"] is None:
        return f"{said} Not checked is whether this input is like them: {known['reason']}."
    return f"{said} Nothing shows that these inputs are not like them."


def draw_timeline(strip: Strip, verdict: Verdict) -> Html:
    """Returns P(fake) of each clip over the source frames, or "" for an image.

    Args:
        strip: Clips and their scores.
        verdict: Verdict on the input.
    """
    if len(strip.numbers) == 1:
        return Html()
    ends = [max(end, start + 1) for start, end in zip(strip.clip_starts, strip.clip_ends)]
    limits = (min(strip.clip_starts), max(ends))
    plot = Plot(
        "P(fake) over time", x=limits, x_label="source frame", y_label="P(fake)", size=(720, 220)
    )
    plot.add_line(limits, [0.5, 0.5], REFERENCE)
    for start, end, prob in zip(strip.clip_starts, ends, strip.clip_probs):
        colour = COLOURS["fake" if prob >= 0.5 else "real"]
        plot.add_line([start, end], [prob, prob], Stroke(colour, width=5), fill=True)
    mean = float(verdict.fake_prob or 0.0)
    plot.add_line(limits, [mean, mean], Stroke(COLOURS["ink"], "2 3", 1.5), label="whole input")
    return make_figure("Clips", plot.render(), wide=True)


def _cut_faces(strip: Strip) -> list[np.ndarray]:
    """Returns the parts of the frames in the boxes of the face; whole frames without boxes."""
    faces = []
    for frame, box in zip(strip.frames, strip.boxes):
        if np.isfinite(box).all():
            x0, y0, x1, y1 = np.clip(box.round().astype(int), 0, None)
            part = frame[y0:y1, x0:x1]
            frame = part if part.size else frame
        faces.append(frame)
    return faces


def _draw_heat(explanations: Sequence[ClipExplanation]) -> Html:
    if not explanations:
        return Html()
    effects = {row["number"]: row["effect"] for row in list_deciding(explanations)}
    chosen = list(effects)[:SHOWN]
    figures = []
    for number in sorted(chosen):
        clip = next(one for one in explanations if number in one.position[one.mask])
        place = int(np.flatnonzero(clip.position == number)[0])
        pictures = [clip.frames[place], overlay(clip.frames[place], clip.combined[place])]
        title = to_html(f"frame {number}", tag("small", f"effect {effects[number]:+.2f}"))
        figures.append(make_figure(title, draw_strip(pictures, f"frame {number}", side=SIDE)))
    return make_grid(figures)
