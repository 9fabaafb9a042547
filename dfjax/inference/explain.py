"""Explains the verdict on a video in pictures, a film and numbers: `dfjax explain`."""

from __future__ import annotations

import base64
import dataclasses
import functools
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dfjax.console import one_line, track
from dfjax.data.faces.worker_pool import run_tasks
from dfjax.errors import RunError, UsageError
from dfjax.evaluation.figures.explanation_sheet import draw_explanation
from dfjax.files import write_json
from dfjax.inference.clip_overrides import list_overrides
from dfjax.inference.detector import Detector, load
from dfjax.inference.explanation import (
    SHARES,
    TOGETHER,
    ClipExplanation,
    Explainer,
    measure_grounding,
)
from dfjax.inference.explanation_pictures import (
    average_weights,
    choose_clips,
    choose_frames,
    compute_areas,
    find_side,
    list_deciding,
    make_course,
    write_film,
)
from dfjax.inference.judgement import find_judge
from dfjax.inference.media import PredictionSettings, Prepared, Unusable, find_inputs, prepare_input
from dfjax.inference.score_inputs import plan_scoring, score_entries
from dfjax.inference.verdict import Verdict
from dfjax.outputs import check_outputs
from dfjax.results import Result

AnyPath = str | os.PathLike[str]

FILES = ("explanation.png", "explanation.mp4", "explanation.json")


@dataclass(frozen=True)
class Explanation(Result):
    """Why an input has its verdict.

    Attributes:
        verdict: The verdict, that of `dfjax.predict`.
        clips: Explanation of each clip that is explained.
        out: Folder of the files.
        notes: Sentences about the guarantee of the verdict.
    """

    verdict: Verdict
    clips: list[ClipExplanation]
    out: Path
    notes: tuple[str, ...] = ()

    def describe(self) -> list[str]:
        """Returns lines on the verdict, the deciding frames, and whether the maps matter."""
        deciding = list_deciding(self.clips, find_side(self.verdict))
        areas, weights = compute_areas(self.clips), average_weights(self.clips)
        lines = [
            self.verdict.to_line(),
            f"deciding frames: {', '.join(str(frame['number']) for frame in deciding[:5])}",
            "area under P(fake): deletion {deletion:.3f} (random {random_deletion:.3f}), insertion "
            "{insertion:.3f} (random {random_insertion:.3f})".format_map(areas),
        ]
        if weights:
            named = ", ".join(f"{name} {weight:.2f}" for name, weight in weights.items())
            lines.append(f"weights of the streams: {named}")
        if found := measure_grounding(self.clips):
            shares = ", ".join(
                f"{name} {one['share']:.0%} ({one['ratio']:.2f} times the area)"
                for name, one in found["maps"].items()
            )
            lines.append(
                f"heat in the manipulated region, which is {found['area']:.0%} of the crop: "
                f"{shares}"
            )
        return [*lines, f"written to {self.out}: {', '.join(FILES)}"]

    def _repr_html_(self) -> str:
        """Returns the picture and the description as a notebook displays them."""
        picture = base64.b64encode((self.out / FILES[0]).read_bytes()).decode()
        image = f'<img src="data:image/png;base64,{picture}" style="max-width: 100%">'
        return image + super()._repr_html_()

    def to_json(self) -> dict[str, Any]:
        """Returns the numbers as `explanation.json` has them."""
        return {
            **self.verdict.to_dict(),
            "clip_probs": self.verdict.clip_scores["fake_prob"].tolist(),
            "deciding_frames": list_deciding(self.clips, find_side(self.verdict)),
            "areas": compute_areas(self.clips),
            "stream_weights": average_weights(self.clips),
            "grounding": measure_grounding(self.clips),
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
    maps: int = 4,
    mask: AnyPath | None = None,
    calibrated: bool = True,
    false_alarm_rate: float | None = None,
    miss_rate: float | None = None,
    **cutting: Any,
) -> Explanation:
    """Writes `explanation.png`, `explanation.mp4` and `explanation.json` on a video or an image.

    Args:
        detector: Workdir of a training run, a safetensors file, or a detector from `dfjax.load`.
        path: Video or image.
        out: Folder of the files.
        checkpoint: `best` or `last`, where `detector` is a workdir.
        model: Name of the config of a safetensors file whose header does not have the config.
        maps: Largest number of clips that are explained, those that speak most for the verdict.
        mask: Video or image in which the manipulated pixels of the input are bright, of which the
            share of the heat in them is measured; None where this is not known.
        calibrated: Whether the calibration in the workdir is used, where there is one.
        false_alarm_rate: Error rate of verdicts on real videos; None for that of the calibration.
        miss_rate: Error rate of verdicts on fakes; None for that of the calibration.
        **cutting: Further arguments of `score_inputs.make_settings`, such as `face_detector`.

    Raises:
        RunError: The input cannot be read, or has no usable face.
        UsageError: The input, a workdir or a checkpoint does not exist, the detector has no feature
            maps, or a file in `out` is one that dfjax did not write.
    """
    folder, source = Path(out), _find_file(Path(path))
    region = None if mask is None else _find_file(Path(mask))
    if maps < 1:
        raise UsageError(f"maps must be positive, not {maps}")
    check_outputs((folder / name for name in FILES), inputs=[source, *([region] if region else [])])
    loaded = detector if isinstance(detector, Detector) else load(detector, checkpoint, model=model)
    judge = find_judge(
        loaded, calibrated, false_alarm_rate, miss_rate, list_overrides(loaded.config, cutting)
    )
    prepared, size = prepare(loaded, source, region=region, **cutting)
    (verdict,) = score_entries(loaded, [(str(source), prepared)], size)
    if verdict.fake_prob is None:
        raise RunError(f"{path}: {verdict.error}")
    notes: list[str] = []
    if judge:
        (verdict,), notes = judge.conclude([judge(verdict)])
    found = explain_clips(Explainer(loaded), prepared, verdict, most=maps)
    result = Explanation(verdict.without_pictures(), found, folder, tuple(notes))
    _write_files(result, folder)
    return result


def _write_files(result: Explanation, folder: Path) -> None:
    verdict, found = result.verdict, result.clips
    name = one_line(Path(verdict.input).name)[:80]
    title = f"{name} · {verdict.verdict}, P(fake) {verdict.fake_prob:.3f}"
    if len(found[0].heat) > 1:
        title += f" · the map of {TOGETHER} is drawn first"
    folder.mkdir(parents=True, exist_ok=True)
    frames, course = choose_frames(found, find_side(verdict)), make_course(found, verdict)
    draw_explanation(frames, course, title=title, path=folder / FILES[0])
    write_film(folder / FILES[1], found)
    write_json(folder / FILES[2], result.to_json())


def _find_file(path: Path) -> Path:
    found = find_inputs([path])
    if found != [path]:
        raise UsageError(f"{path} is a folder: give one video or image")
    return path


def explain_clips(
    explainer: Explainer, prepared: Prepared, verdict: Verdict, *, most: int
) -> list[ClipExplanation]:
    """Returns the explanations of the clips that speak most for a verdict, in order of time.

    Args:
        explainer: Explainer of the detector.
        prepared: Clips of the input.
        verdict: Verdict on these clips.
        most: Largest number of clips.
    """
    chosen, origin = choose_clips(verdict, most), prepared.origin
    return [
        explainer.explain(
            prepared.clips[clip],
            origin.mask[clip],
            origin.position[clip],
            None if prepared.region is None else prepared.region[clip],
        )
        for clip in track(chosen, total=len(chosen), what="explaining")
    ]


def prepare(
    detector: Detector, path: Path, *, region: Path | None = None, **options: Any
) -> tuple[Prepared, int]:
    """Returns the clips of an input as `dfjax.predict` cuts them, and the clips of a batch.

    Args:
        detector: Detector.
        path: Video or image.
        region: Mask of the manipulation, or None.
        **options: Arguments of `score_files`.

    Raises:
        RunError: The input cannot be read, or has no usable face.
    """
    settings, size, _, seconds = plan_scoring(detector, **options)
    settings = dataclasses.replace(settings, region=region)
    return _read(settings, path, seconds), size


def _read(settings: PredictionSettings, path: Path, seconds: float) -> Prepared:
    function = functools.partial(prepare_input, settings)
    (outcome,) = run_tasks(function, [str(path)], workers=1, time_limit=seconds)
    if outcome.error is not None:
        raise RunError(f"{path}: {outcome.error}")
    if isinstance(outcome.value, Unusable):
        raise RunError(f"{path}: {outcome.value.error}")
    prepared: Prepared = outcome.value
    return prepared
