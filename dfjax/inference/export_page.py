"""The page of HTML that scores files with a detector: its settings and its words."""

import functools
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import dfjax
from dfjax.data.faces.detectors import find_model_files
from dfjax.data.faces.recipe import CropRecipe
from dfjax.errors import UsageError
from dfjax.evaluation.charts.markup import Html, make_note, make_pairs, to_html
from dfjax.evaluation.charts.page import CSS
from dfjax.experiment import builders
from dfjax.experiment.run_data import find_recipe
from dfjax.experiment.saved import Saved
from dfjax.exporting.formats import Format
from dfjax.exporting.html_file import Page, open_html, save_html
from dfjax.exporting.web_runtime import VERSION, find_web_runtime
from dfjax.inference.clip_overrides import list_overrides
from dfjax.inference.judgement import Drift, Judge, find_judge
from dfjax.inference.media import PredictionSettings
from dfjax.inference.score_inputs import make_settings
from dfjax.inference.verdict_parts import LIMITS, describe_guarantee
from dfjax.models.registry import find_entry

TOLERANCE = 1e-4
FACES = "yunet"
"""The one face detector that pages have."""

UNCHECKED = "the page does not compare them with those of the calibration"

METHOD = (
    "The page decodes the file, finds the face in its frames (except for detectors of face crops), "
    "follows it, cuts and compresses it as the crops of the training data were, chooses clips as "
    "in evaluation, and scores each. P(fake) is the mean over the clips; without a calibration the "
    "verdict is fake from 0.5. These are the steps of dfjax predict. Frames of MP4 and MOV files "
    "are decoded one by one and have exact numbers; those of other videos are taken by time from "
    "the browser's player, which each result then says."
)
FORMATS = (
    "MP4, MOV and WebM videos, JPEG, PNG, WebP and AVIF pictures, as far as the browser reads them."
)


class _Applied(NamedTuple):
    """What the calibration of a workdir is found by."""

    workdir: Path
    checkpoint: str
    checkpoint_sha256: str
    draws: str = ""


def make_page_format(saved: Saved, *, face_model: Path | None, runtime: Path | None) -> Format:
    """Returns the format of the page of a detector.

    Args:
        saved: Stored parts of the detector.
        face_model: ONNX file of YuNet; None is the one that was fetched.
        runtime: Package or folder of onnxruntime-web; None is the one in the user's cache folder,
            which is downloaded unless it is there.

    Raises:
        UsageError: A page cannot score with this detector, or a file is missing.
    """
    page = make_page(saved, face_model=face_model, runtime=runtime)
    save = functools.partial(save_html, page=page)
    return Format(save, open_html, "onnxruntime", TOLERANCE)


def make_page(saved: Saved, *, face_model: Path | None, runtime: Path | None) -> Page:
    """Returns the parts of the page of a detector besides its network; see `make_page_format`."""
    recipe = find_recipe(saved.config)
    _check(saved, recipe)
    given: dict[str, Any] = {}
    if recipe is None or recipe.detector not in (FACES, "none"):
        given["face_detector"] = FACES
    settings, notes = make_settings(saved.config, **given, face_model=face_model)
    searches = settings.cutting.detector == FACES
    judge = _find_judge(saved, given)
    return Page(
        title=to_html(f"{saved.config.name}: real or fake?"),
        styles=CSS,
        texts=_write_texts(saved, settings, notes, judge),
        settings=_list_settings(settings, judge),
        faces=find_model_files(FACES, face_model)[0] if searches else None,
        runtime=find_web_runtime(runtime),
    )


def _check(saved: Saved, recipe: CropRecipe | None) -> None:
    """Raises an error if a page cannot prepare the inputs of the detector."""
    config = saved.config
    if find_entry(config.model.name).generates:
        raise UsageError(f"html is for detectors, and {config.name} is a generator")
    if "flow" in builders.model_extras(config) or config.data.flow:
        raise UsageError("html has no optical flow, which this detector reads; export it to onnx")
    if recipe and recipe.align:
        raise UsageError(
            "html does not align faces, and the training crops were aligned; export it to onnx"
        )
    if recipe and recipe.min_quality:
        raise UsageError(
            "html does not measure the quality of crops, and those of the training data below a "
            "minimum were left out; export it to onnx"
        )


def _find_judge(saved: Saved, given: dict[str, Any]) -> Judge | None:
    applied = _Applied(saved.folder, saved.checkpoint, saved.checkpoint_sha256)
    return find_judge(applied, overrides=list_overrides(saved.config, given))


def _list_settings(settings: PredictionSettings, judge: Judge | None) -> dict[str, Any]:
    """Returns the settings that the scripts of the page read."""
    cutting, sampling = settings.cutting, settings.sampling
    seconds = float(sampling.kind.partition(":")[2]) if sampling.by_duration else 0
    calibration = judge and {
        "map": judge.calibration.map._asdict(),
        "classes": judge.calibration.conformal.to_table(),
        "rates": judge.rates._asdict(),
    }
    names = ("detector", "frames", "every", "size", "margin", "jpeg_quality")
    return {
        "sampling": {
            "frames": sampling.frames,
            "kind": sampling.kind.partition(":")[0],
            "seconds": seconds,
            "stride": sampling.stride,
            "pad": sampling.pad,
        },
        "clips": settings.clips,
        "most_clips": settings.most_clips,
        "cutting": {name: getattr(cutting, name) for name in names},
        "min_face_share": settings.min_face_share,
        "calibration": calibration,
    }


def _write_texts(
    saved: Saved, settings: PredictionSettings, notes: Sequence[str], judge: Judge | None
) -> dict[str, Html]:
    """Returns the texts of the page by their names in its template."""
    cutting, frames = settings.cutting, settings.sampling.frames
    guarantee = judge.describe(Drift([], UNCHECKED, "")) if judge else None
    searches = cutting.detector == FACES
    found = (
        f"YuNet, crop {cutting.margin:g} times the face" if searches else "none: give face crops"
    )
    pairs = {
        "detector": saved.config.name,
        "checkpoint": saved.checkpoint,
        "clip": f"{frames} frame{'s' * (frames > 1)} of {cutting.size} x {cutting.size} pixels",
        "faces": found,
        "SHA-256 of the checkpoint": saved.checkpoint_sha256[:16] + "…",
    }
    used = f"onnxruntime-web {VERSION} (Microsoft, MIT licence)"
    used += " and YuNet (Shiqi Yu, MIT licence)" if searches else ""
    return {
        "limits": to_html(LIMITS),
        "formats": to_html(FORMATS),
        "guarantee": to_html(describe_guarantee(guarantee)),
        "about": make_pairs(pairs),
        "notes": to_html(*(make_note("warning", "Differs from training:", n + ".") for n in notes)),
        "method": to_html(METHOD),
        "foot": to_html(f"Written by dfjax {dfjax.__version__}. It contains {used}."),
    }
