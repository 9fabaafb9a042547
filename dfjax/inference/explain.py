"""Explains the verdict on a video in pictures, a film and numbers: `dfjax explain`."""

from __future__ import annotations

import functools
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np

from dfjax.console import one_line, track
from dfjax.data.faces.worker_pool import run_tasks
from dfjax.errors import RunError
from dfjax.evaluation.figures.explanation_sheet import (
    Course,
    Deciding,
    draw_explanation,
    overlay,
)
from dfjax.files import atomic_path, write_json
from dfjax.inference.detector import Detector, load
from dfjax.inference.explanation import SHARES, ClipExplanation, Explainer
from dfjax.inference.media import Prepared, Unusable, prepare_input
from dfjax.inference.score_inputs import make_settings
from dfjax.outputs import check_outputs
from dfjax.results import Result

AnyPath = str | os.PathLike[str]

FILES = ("explanation.png", "explanation.mp4", "explanation.json")
SHOWN, FPS, SIDE = 8, 8, 320
"""Number of deciding frames in the sheet; frames per second and side in pixels of the film."""


@dataclass(frozen=True)
class Explanation(Result):
    """Why an input has its score.

    Attributes:
        input: Path of the input.
        fake_prob: Mean P(fake) over the clips.
        clips: Explanation of each clip.
        out: Folder of the files.
    """

    input: str
    fake_prob: float
    clips: list[ClipExplanation]
    out: Path

    def describe(self) -> list[str]:
        """Returns lines on the score, the deciding frames, and whether the maps matter."""
        frames = ", ".join(str(frame["number"]) for frame in list_deciding(self.clips)[:5])
        areas = compute_areas(self.clips)
        return [
            f"{self.fake_prob:.4f}  {'fake' if self.fake_prob >= 0.5 else 'real'}  {self.input}",
            f"deciding frames: {frames}",
            "area under P(fake): deletion {deletion:.3f} (random {random_deletion:.3f}), insertion "
            "{insertion:.3f} (random {random_insertion:.3f})".format_map(areas),
            f"written to {self.out}: {', '.join(FILES)}",
        ]

    def to_json(self) -> dict[str, Any]:
        """Returns the numbers as `explanation.json` has them."""
        return {
            "input": self.input,
            "fake_prob": self.fake_prob,
            "deciding_frames": list_deciding(self.clips),
            "areas": compute_areas(self.clips),
            "clips": [
                {
                    "first_frame": int(clip.position[clip.mask][0]),
                    "fake_prob": clip.fake_prob,
                    "stream_weights": clip.stream_weights,
                    "curves": {name: values.tolist() for name, values in clip.curves.items()},
                }
                for clip in self.clips
            ],
            "shares": SHARES.tolist(),
        }


def explain(
    detector: AnyPath | Detector,
    path: AnyPath,
    *,
    out: AnyPath,
    checkpoint: str = "best",
    model: str = "",
    clips: int = 4,
    **cutting: Any,
) -> Explanation:
    """Writes `explanation.png`, `explanation.mp4` and `explanation.json` on a video or an image.

    Args:
        detector: Workdir of a training run, a safetensors file, or a detector from `dfjax.load`.
        path: Video or image.
        out: Folder of the files.
        checkpoint: `best` or `last`, where `detector` is a workdir.
        model: Name of the config of a safetensors file whose header does not have the config.
        clips: Number of clips, evenly spaced in the video.
        **cutting: Further arguments of `score_inputs.make_settings`, such as `face_detector`.

    Raises:
        RunError: The input cannot be read, or has no usable face.
        UsageError: A workdir or checkpoint does not exist, the detector has no feature maps, or a
            file in `out` is one that dfjax did not write.
    """
    folder = Path(out)
    check_outputs((folder / name for name in FILES), inputs=[path])
    loaded = detector if isinstance(detector, Detector) else load(detector, checkpoint, model=model)
    found = explain_clips(Explainer(loaded), Path(path), clips=clips, **cutting)
    prob = float(np.mean([clip.fake_prob for clip in found]))
    result = Explanation(os.fspath(path), prob, found, folder)
    verdict = "fake" if prob >= 0.5 else "real"
    title = f"{one_line(Path(path).name)[:80]} · {verdict}, P(fake) {prob:.3f}"
    folder.mkdir(parents=True, exist_ok=True)
    draw_explanation(_choose(found), _make_course(found), title=title, path=folder / FILES[0])
    write_film(folder / FILES[1], found)
    write_json(folder / FILES[2], result.to_json())
    return result


def explain_clips(explainer: Explainer, path: Path, **cutting: Any) -> list[ClipExplanation]:
    """Returns the explanations of the clips of an input.

    Args:
        explainer: Explainer of a detector.
        path: Video or image.
        **cutting: Arguments of `score_inputs.make_settings`.

    Raises:
        RunError: The input cannot be read, or has no usable face.
    """
    prepared = _prepare(explainer.detector, path, **cutting)
    rows = zip(prepared.clips, prepared.origin.mask, prepared.origin.position)
    return [
        explainer.explain(clip, mask, position)
        for clip, mask, position in track(rows, total=len(prepared.clips), what="explaining")
    ]


def _prepare(detector: Detector, path: Path, **cutting: Any) -> Prepared:
    settings, _ = make_settings(detector.config, **cutting)
    function = functools.partial(prepare_input, settings)
    (outcome,) = run_tasks(function, [str(path)], workers=1, time_limit=600.0)
    if outcome.error is not None:
        raise RunError(f"{path}: {outcome.error}")
    if isinstance(outcome.value, Unusable):
        raise RunError(f"{path}: {outcome.value.error}")
    prepared: Prepared = outcome.value
    return prepared


def _list_frames(clips: Sequence[ClipExplanation]) -> list[tuple[int, ClipExplanation, int]]:
    """Returns every frame once, in order of time: its number, its clip and its place in it."""
    frames = {
        int(clip.position[place]): (clip, int(place))
        for clip in reversed(clips)
        for place in np.flatnonzero(clip.mask)
    }
    return [(number, *frames[number]) for number in sorted(frames)]


def list_deciding(clips: Sequence[ClipExplanation]) -> list[dict[str, Any]]:
    """Returns all frames with their effect on the logit, those that decided the verdict first.

    Args:
        clips: Explanations of the clips of one input.
    """
    sign = 1 if np.mean([clip.fake_prob for clip in clips]) >= 0.5 else -1
    rows = [
        {
            "number": number,
            "effect": float(clip.effects[place]),
            "attention": None if clip.attention is None else float(clip.attention[place]),
        }
        for number, clip, place in _list_frames(clips)
    ]
    return sorted(rows, key=lambda row: -sign * row["effect"])


def compute_areas(clips: Sequence[ClipExplanation]) -> dict[str, float]:
    """Returns the mean areas under the curves of deletion and insertion, by name."""
    return {
        name: float(np.mean([np.trapezoid(clip.curves[name], SHARES) for clip in clips]))
        for name in clips[0].curves
    }


def _choose(clips: Sequence[ClipExplanation]) -> list[Deciding]:
    """Returns the deciding frames in order of time."""
    numbers = {row["number"] for row in list_deciding(clips)[:SHOWN]}
    return [
        Deciding(
            clip.frames[place],
            {name: heat[place] for name, heat in clip.heat.items()},
            number,
            float(clip.effects[place]),
        )
        for number, clip, place in _list_frames(clips)
        if number in numbers
    ]


def _make_course(clips: Sequence[ClipExplanation]) -> Course:
    rows = sorted(list_deciding(clips), key=lambda row: row["number"])
    attention = [row["attention"] for row in rows]
    return Course(
        numbers=[row["number"] for row in rows],
        effects=[row["effect"] for row in rows],
        attention=None if None in attention else attention,
        shares=SHARES.tolist(),
        curves={n: np.mean([c.curves[n] for c in clips], axis=0).tolist() for n in clips[0].curves},
    )


def write_film(path: Path, clips: Sequence[ClipExplanation]) -> None:
    """Writes the frames with their heat beside the frames themselves as H.264, atomically."""
    with atomic_path(path) as partial, av.open(os.path.abspath(partial), "w") as container:
        stream = container.add_stream("libx264", rate=FPS, options={"crf": "20"})
        stream.width, stream.height, stream.pix_fmt = 2 * SIDE, SIDE, "yuv420p"
        container.metadata["comment"] = "dfjax"
        for picture in _draw_film(clips):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())


def _draw_film(clips: Sequence[ClipExplanation]) -> Iterator[np.ndarray]:
    for number, clip, place in _list_frames(clips):
        frame, heat = clip.frames[place], clip.combined[place]
        large = [
            cv2.resize(one, (SIDE, SIDE), interpolation=cv2.INTER_CUBIC)
            for one in (frame, overlay(frame, heat))
        ]
        picture = np.ascontiguousarray(np.concatenate(large, axis=1))
        text = f"frame {number}  P(fake) {clip.fake_prob:.2f}"
        for colour, width in (((0, 0, 0), 3), ((255, 255, 255), 1)):
            cv2.putText(picture, text, (8, 20), cv2.FONT_HERSHEY_SIMPLEX, 0.5, colour, width)
        yield picture
