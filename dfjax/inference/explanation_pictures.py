"""Pictures of explanations: the deciding frames, what is drawn over time, and a film."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np

from dfjax.evaluation.figures.explanation_sheet import Course, Deciding, overlay
from dfjax.files import atomic_path
from dfjax.inference.explanation import SHARES, ClipExplanation
from dfjax.inference.verdict import Verdict

SHOWN, FPS, SIDE = 8, 8, 320
"""Number of deciding frames in the sheet; frames per second and side in pixels of the film."""


def find_side(verdict: Verdict) -> int:
    """Returns 1 for a verdict of fake and -1 for real; if undecided, that of the score."""
    if verdict.verdict in ("real", "fake"):
        return 1 if verdict.verdict == "fake" else -1
    return 1 if (verdict.fake_prob or 0.0) >= 0.5 else -1


def choose_clips(verdict: Verdict, most: int) -> list[int]:
    """Returns the numbers of the clips that speak most for a verdict, in order of time.

    Args:
        verdict: Verdict on an input.
        most: Largest number of clips.
    """
    probs = verdict.clip_scores["fake_prob"]
    return sorted(np.argsort(-find_side(verdict) * probs, kind="stable")[:most].tolist())


def _list_frames(clips: Sequence[ClipExplanation]) -> list[tuple[int, ClipExplanation, int]]:
    """Returns every frame once, in order of time: its number, its clip and its place in it."""
    frames = {
        int(clip.position[place]): (clip, int(place))
        for clip in reversed(clips)
        for place in np.flatnonzero(clip.mask)
    }
    return [(number, *frames[number]) for number in sorted(frames)]


def list_deciding(clips: Sequence[ClipExplanation], side: int) -> list[dict[str, Any]]:
    """Returns all frames with their effect on the logit, those that decided the verdict first.

    Args:
        clips: Explanations of clips of one input.
        side: 1 where the verdict is fake, -1 where it is real (`find_side`).
    """
    rows = [
        {
            "number": number,
            "effect": float(clip.effects[place]),
            "attention": None if clip.attention is None else float(clip.attention[place]),
        }
        for number, clip, place in _list_frames(clips)
    ]
    return sorted(rows, key=lambda row: -side * row["effect"])


def compute_areas(clips: Sequence[ClipExplanation]) -> dict[str, float]:
    """Returns the mean areas under the curves of deletion and insertion, by name."""
    return {
        name: float(np.mean([np.trapezoid(clip.curves[name], SHARES) for clip in clips]))
        for name in clips[0].curves
    }


def choose_frames(clips: Sequence[ClipExplanation], side: int) -> list[Deciding]:
    """Returns the deciding frames in order of time."""
    numbers = {row["number"] for row in list_deciding(clips, side)[:SHOWN]}
    return [
        Deciding(
            clip.frames[place],
            {name: heat[place] for name, heat in clip.maps.items()},
            number,
            float(clip.effects[place]),
            None if clip.region is None else clip.region[place],
        )
        for number, clip, place in _list_frames(clips)
        if number in numbers
    ]


def make_course(clips: Sequence[ClipExplanation], verdict: Verdict) -> Course:
    """Returns what is drawn over time: scores of all clips, and of the explained ones the rest.

    Args:
        clips: Explanations of clips.
        verdict: Verdict on the input.
    """
    rows = sorted(list_deciding(clips, 1), key=lambda row: row["number"])
    attention = [row["attention"] for row in rows]
    assert verdict.origin is not None
    used = [row[mask] for row, mask in zip(verdict.origin.position, verdict.origin.mask)]
    probs = verdict.clip_scores["fake_prob"].tolist()
    return Course(
        numbers=[row["number"] for row in rows],
        effects=[row["effect"] for row in rows],
        attention=None if None in attention else attention,
        shares=SHARES.tolist(),
        curves={n: np.mean([c.curves[n] for c in clips], axis=0).tolist() for n in clips[0].curves},
        scores=[(int(row[0]), int(row[-1]), prob) for row, prob in zip(used, probs)],
        explained=[int(clip.position[clip.mask][0]) for clip in clips],
        fake_prob=float(verdict.fake_prob or 0.0),
        stream_weights=average_weights(clips),
    )


def average_weights(clips: Sequence[ClipExplanation]) -> dict[str, float]:
    """Returns the mean weights of the streams by the model; empty where it has none."""
    return {
        name: float(np.mean([clip.stream_weights[name] for clip in clips]))
        for name in clips[0].stream_weights
    }


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
