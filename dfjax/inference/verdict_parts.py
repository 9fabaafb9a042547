"""The parts of a verdict as HTML, which its page and a notebook show."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol, runtime_checkable

import numpy as np

from dfjax.console import one_line
from dfjax.errors import InputError
from dfjax.evaluation.charts.markup import Html, join, make_figure, make_pairs, tag, to_html
from dfjax.evaluation.charts.pictures import encode_picture
from dfjax.evaluation.charts.svg import COLOURS, REFERENCE, Plot, Stroke
from dfjax.evaluation.figures.sheets import Strip


@runtime_checkable
class Judged(Protocol):
    """What is drawn of a `Verdict`."""

    @property
    def status(self) -> str:
        """As in `Verdict`."""
        ...

    @property
    def error(self) -> str | None:
        """As in `Verdict`."""
        ...

    @property
    def verdict(self) -> str | None:
        """As in `Verdict`."""
        ...

    @property
    def fake_prob(self) -> float | None:
        """As in `Verdict`."""
        ...

    @property
    def confidence(self) -> float | None:
        """As in `Verdict`."""
        ...

    @property
    def frames_used(self) -> int:
        """As in `Verdict`."""
        ...

    @property
    def face_share(self) -> float | None:
        """As in `Verdict`."""
        ...

    @property
    def scores(self) -> Mapping[str, float]:
        """As in `Verdict`."""
        ...

    @property
    def calibrated_prob(self) -> float | None:
        """As in `Verdict`."""
        ...

    @property
    def guarantee(self) -> Mapping[str, Any] | None:
        """As in `Verdict`."""
        ...

    @property
    def restored(self) -> bool:
        """Whether the input is marked as restored by a model."""
        ...

    def make_strip(self) -> Strip:
        """Returns the frames, boxes and scores of clips."""
        ...


LIMITS = (
    "The score is that of one detector. It says how much the faces resemble the fakes that the "
    "detector was trained on, and is no proof: a new kind of manipulation may score low, and "
    "compression, filters and make-up may raise the score of a real video. Parts of the video that "
    "no clip covers, people besides the main face, and the sound were not examined."
)


def draw_verdict(verdict: Judged, checkpoint: str = "") -> Html:
    """Returns the verdict in large letters, its numbers, its guarantee and its limits.

    Args:
        verdict: Judged whose status is `ok`.
        checkpoint: Name of the checkpoint, for a page; empty for a notebook, which has no styles.
    """
    kind = verdict.verdict if verdict.verdict in ("real", "fake") else ""
    style, quiet = None, None
    if not checkpoint:  # a notebook
        style = f"font-size:26px;font-weight:700;margin:0;color:{COLOURS[kind or 'ink']}"
        quiet = "opacity:.75"
    share = "not searched" if verdict.face_share is None else f"{verdict.face_share:.0%}"
    values = {
        "P(fake)": f"{verdict.fake_prob:.4f}",
        "confidence": f"{verdict.confidence:.1%}",
        "frames used": verdict.frames_used,
        "frames with a face": share,
    }
    if checkpoint:
        values["checkpoint"] = checkpoint
    if verdict.calibrated_prob is not None:
        values["calibrated P(fake)"] = f"{verdict.calibrated_prob:.4f}"
    if verdict.restored:
        values["mark"] = "marked as restored by a model"
    values |= {name: f"{value:.4f}" for name, value in verdict.scores.items()}
    return to_html(
        tag("p", verdict.verdict, class_=f"verdict {kind}", style=style),
        make_pairs(values),
        tag("p", describe_guarantee(verdict.guarantee)),
        tag("p", LIMITS, class_="quiet", style=quiet),
    )


def describe_guarantee(known: Mapping[str, Any] | None) -> str:
    """Returns a sentence on the error rates of a verdict; see `Verdict.guarantee`."""
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


def draw_timeline(strip: Strip, verdict: Judged) -> Html:
    """Returns P(fake) of each clip over the source frames, or "" for an image.

    Args:
        strip: Clips and their scores.
        verdict: Judged on the input.
    """
    if len(strip.numbers) == 1:
        return Html()
    ends = [max(end, start + 1) for start, end in zip(strip.clip_starts, strip.clip_ends)]
    limits = (min(strip.clip_starts), max(ends))
    plot = Plot(
        "P(fake) over time", x=limits, x_label="source frame", y_label="P(fake)", size=(420, 200)
    )
    plot.add_line(limits, [0.5, 0.5], REFERENCE)
    for start, end, prob in zip(strip.clip_starts, ends, strip.clip_probs):
        colour = COLOURS["fake" if prob >= 0.5 else "real"]
        plot.add_line([start, end], [prob, prob], Stroke(colour, width=5), fill=True)
    mean = float(verdict.fake_prob or 0.0)
    plot.add_line(limits, [mean, mean], Stroke(COLOURS["ink"], "2 3", 1.5), label="whole input")
    return make_figure("Clips", plot.render(), wide=True)


def cut_faces(strip: Strip) -> list[np.ndarray]:
    """Returns the parts of the frames in the boxes of the face; whole frames without boxes."""
    faces = []
    for frame, box in zip(strip.frames, strip.boxes):
        if np.isfinite(box).all():
            x0, y0, x1, y1 = np.clip(box.round().astype(int), 0, None)
            part = frame[y0:y1, x0:x1]
            frame = part if part.size else frame
        faces.append(frame)
    return faces


def draw_notebook(verdict: Judged, name: str) -> Html:
    """Returns the parts of the page of a verdict for a notebook, where a page has no styles.

    Args:
        verdict: Judged on an input.
        name: Name of the input.
    """
    title = tag("p", tag("b", one_line(name)))
    if verdict.status != "ok":
        return to_html(title, tag("p", f"not scored: {verdict.error}"))
    try:
        strip = verdict.make_strip()
    except InputError as error:  # the file was deleted after it was scored
        return to_html(title, draw_verdict(verdict), tag("p", f"no picture: {error}"))
    faces = join(
        tag("img", src=encode_picture(face, 120), alt=f"face in frame {number}", height=96)
        for face, number in zip(cut_faces(strip), strip.numbers)
    )
    row = tag("div", faces, style="display:flex;flex-wrap:wrap;gap:4px;margin:8px 0")
    parts = title, draw_verdict(verdict), row, draw_timeline(strip, verdict)
    return tag("div", *parts, style="max-width:760px;font-size:13px;line-height:1.5")
