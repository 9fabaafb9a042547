"""The verdict of a detector on one input."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from dfjax.console import one_line
from dfjax.errors import InputError
from dfjax.evaluation.figures.sheets import Strip, draw_strip
from dfjax.evaluation.figures.style import enable_notebook_display
from dfjax.inference.media import ClipOrigin, Prepared, Unusable, take_pictures
from dfjax.inference.verdict_parts import draw_notebook

THRESHOLD = 0.5
"""Smallest P(fake) at which the verdict is `fake`."""


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class Verdict:
    """The verdict of a detector on a video, an image or frames.

    Attributes:
        input: Path of the file, or a description of the array.
        status: `ok` or `error`.
        fake_prob: Mean P(fake) over the clips; None if the input could not be scored.
        confidence: The larger of P(fake) and P(real).
        verdict: `fake` or `real` by the threshold 0.5; with a calibration `fake`, `real` or
            `undecided` at its error rates.
        frames_used: Number of distinct frames in the clips.
        faces_missed: Number of these frames in which no face was detected; 0 where none was
            searched for.
        face_share: Share of these frames in which a face was detected; None where none was searched
            for, or where the input could not be read.
        error: Reason why the input could not be scored; None if it was scored.
        scores: Means of further scores over the clips: `fake_prob_sd`, `entropy` and
            `mutual_information` with several draws, `method_prob:NAME` with a method head.
        clip_scores: `fake_prob` and the same scores of every clip, f64[N] each.
        origin: Origin of the clips; None if there are none.
        calibrated_prob: Calibrated P(fake); None without a calibration.
        guarantee: Error rates of the verdict: `false_alarm_rate`, `miss_rate`, `p_real`, `p_fake`
            (conformal p-values), `holds` (None where the inputs are too few to see whether they are
            like those of the calibration), and the `reason` if it is not True. None without a
            calibration.
    """

    input: str
    status: str
    fake_prob: float | None = None
    confidence: float | None = None
    verdict: str | None = None
    frames_used: int = 0
    faces_missed: int = 0
    face_share: float | None = None
    error: str | None = None
    scores: Mapping[str, float] = dataclasses.field(default_factory=dict)
    clip_scores: Mapping[str, np.ndarray] = dataclasses.field(default_factory=dict)
    origin: ClipOrigin | None = None
    calibrated_prob: float | None = None
    guarantee: Mapping[str, Any] | None = None

    def to_dict(self) -> dict[str, Any]:
        """Returns the result as `dfjax predict --json` prints it."""
        return {
            "input": self.input,
            "status": self.status,
            "fake_prob": self.fake_prob,
            "confidence": self.confidence,
            "verdict": self.verdict,
            "frames_used": self.frames_used,
            "faces_missed": self.faces_missed,
            "face_share": self.face_share,
            "error": self.error,
            "restored": self.restored,
            **self.scores,
            **(
                {"calibrated_prob": self.calibrated_prob, "guarantee": dict(self.guarantee)}
                if self.guarantee
                else {}
            ),
        }

    def show(self, path: str | os.PathLike[str] | None = None) -> Figure:
        """Returns a figure of frames with the box of the face, and of P(fake) over time.

        The frames of a file are read again, unless they were kept. A notebook displays the figure;
        no graphical display is needed.

        Args:
            path: PNG file that the figure is also written to; None for no file.

        Raises:
            InputError: The input was not scored, or its file can no longer be read.
        """
        enable_notebook_display()
        fake_prob = float(self.fake_prob or 0.0)
        return draw_strip(self.make_strip(), title=self._title, fake_prob=fake_prob, path=path)

    def without_pictures(self) -> Verdict:
        """Returns the verdict without the frames that were kept for a figure."""
        if self.origin is None or self.origin.sha256 is None:
            return self
        return dataclasses.replace(self, origin=dataclasses.replace(self.origin, pictures=None))

    def make_strip(self) -> Strip:
        """Returns the frames, boxes and scores of clips for a figure.

        Raises:
            InputError: The input was not scored, or its file can no longer be read.
        """
        origin = self.origin
        if origin is None:
            raise InputError(f"{self._title} has no score to show: {self.error}")
        pictures = origin.pictures or take_pictures(Path(self.input), origin.sightings)
        used = [row[mask] for row, mask in zip(origin.position, origin.mask)]
        return Strip(
            frames=pictures.frames,
            boxes=pictures.boxes,
            found=pictures.found,
            numbers=pictures.numbers,
            clip_starts=[int(row[0]) for row in used],
            clip_ends=[int(row[-1]) for row in used],
            clip_probs=self.clip_scores["fake_prob"].tolist(),
        )

    @property
    def _title(self) -> str:
        """Name of the input; bytes that are not valid text are replaced."""
        return one_line(Path(self.input).name)

    @property
    def restored(self) -> bool:
        """Whether the input is marked as restored by a model (`dfjax.data.faces.marks`)."""
        return self.origin is not None and self.origin.restored

    def to_line(self) -> str:
        """Returns the result as `dfjax predict` prints it: score, verdict, input, frames."""
        if self.status == "error":
            return f"{self.input}: {self.error}"
        return f"{self._score}  {self.verdict}  {self.input}  ({self._frames}{self._calibrated})"

    @property
    def _calibrated(self) -> str:
        return "" if self.guarantee is None else f", calibrated {self.calibrated_prob:.4f}"

    @property
    def _score(self) -> str:
        deviation = self.scores.get("fake_prob_sd")
        return f"{self.fake_prob:.4f}" + ("" if deviation is None else f" ± {deviation:.4f}")

    @property
    def _frames(self) -> str:
        missed = f", {self.faces_missed} without a face" if self.faces_missed else ""
        marked = "; marked as restored by a model" if self.restored else ""
        return f"{self.frames_used} frames{missed}{marked}"

    @property
    def _summary(self) -> str:
        if self.status == "error":
            return f"not scored: {self.error}"
        return f"{self.verdict}, P(fake) {self._score} ({self._frames}{self._calibrated})"

    def __repr__(self) -> str:
        return f"Verdict({self._title!r}: {self._summary})"

    def _repr_html_(self) -> str:
        return draw_notebook(self, self._title)


def make_verdict(
    name: str, prepared: Prepared | Unusable | str, scores: Mapping[str, np.ndarray]
) -> Verdict:
    """Returns the verdict on one input, whose scores are means over its clips.

    Args:
        name: Path of the input, or a description of it.
        prepared: Clips of the input, or the reason why there are none.
        scores: Scores of the clips, f64[N] each.
    """
    if isinstance(prepared, str):
        return Verdict(name, "error", error=prepared)
    if isinstance(prepared, Unusable):
        return Verdict(name, "error", **prepared._asdict())
    origin = prepared.origin
    columns = {key: values for key, values in scores.items() if key != "logit"}
    means = {key: float(values.mean()) for key, values in columns.items()}
    prob = means.pop("fake_prob")
    if not np.isfinite(prob):
        return Verdict(name, "error", error="the detector gives no finite score")
    return Verdict(
        input=name,
        status="ok",
        fake_prob=prob,
        confidence=max(prob, 1.0 - prob),
        verdict="fake" if prob >= THRESHOLD else "real",
        frames_used=origin.frames_used,
        faces_missed=origin.faces_missed,
        face_share=origin.face_share,
        scores=means,
        clip_scores=columns,
        origin=origin,
    )


def fuse_verdict(verdict: Verdict, fuse: Callable[[Mapping[str, float]], float]) -> Verdict:
    """Returns a verdict whose P(fake) is a function of the means of its scores over clips.

    Args:
        verdict: Verdict on an input.
        fuse: Function from these means, `fake_prob` among them, to P(fake).
    """
    if verdict.fake_prob is None:
        return verdict
    prob = fuse({"fake_prob": verdict.fake_prob, **verdict.scores})
    return dataclasses.replace(
        verdict,
        fake_prob=prob,
        confidence=max(prob, 1.0 - prob),
        verdict="fake" if prob >= THRESHOLD else "real",
    )
