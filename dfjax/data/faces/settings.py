"""Settings of an extraction: frames, face detector and cropping.

They come from arguments (`dfjax data extract`) or from the crop recipe of the training data, which
prediction follows.
"""

import dataclasses
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

from dfjax.data.clips.sampling import Sampling
from dfjax.data.faces.detectors import (
    DETECTORS,
    LANDMARK_DETECTORS,
    MIN_FACE,
    check_alignable,
    hash_detector,
    make_detector,
)
from dfjax.data.faces.detectors.precomputed import Precomputed
from dfjax.data.faces.quality import QUALITIES
from dfjax.data.faces.recipe import JPEG_QUALITY, CropRecipe
from dfjax.errors import UsageError, unknown

FACES = ("best", "mask", "all")
INFORMED = ("score", "frontal")  # qualities that need landmarks or scores
DETECTED = (*INFORMED, "size")  # qualities of a detected face, which face crops as inputs lack
OLD_MIN_FACE = 20  # of `mtcnn` in recipes that do not say it
GRID = 32  # least number of evenly spaced frames if a recipe has neither `frames` nor `every`


@dataclasses.dataclass(frozen=True)
class ExtractionSettings:
    """Settings of an extraction. All crops of an extraction folder have the same settings.

    Attributes:
        detector: Name of the face detector (see `make_detector`), or `precomputed`.
        detector_model: Model file of the face detector or folder of model files, or the file of
            precomputed faces; None for models that were fetched or installed.
        frames: Number of evenly spaced frames per video, or None if `every` is set.
        every: Step between the frames of a video, in source frames, or None if `frames` is set.
        size: Side of the crops in pixels.
        margin: Side of the cropped region relative to the face's box.
        align: Whether faces are aligned by their landmarks.
        faces: Which faces are cropped: `best` is the main face (large, persistent and central),
            `mask` the face that the data set's manipulation mask covers (or the main face without
            a mask), `all` every persistent face.
        min_quality: Pairs of a name in `QUALITIES` and a threshold; crops below are left out.
        jpeg_quality: JPEG quality of the stored crops.
        min_face: Side of the smallest face that `mtcnn` finds, in pixels (see `make_detector`);
            None is 40.
        masks: Whether the data set's manipulation masks are cropped too (see `mask_crops`).
    """

    detector: str = "haar"
    detector_model: str | None = None
    frames: int | None = 32
    every: int | None = None
    size: int = 256
    margin: float = 1.3
    align: bool = False
    faces: str = "best"
    min_quality: tuple[tuple[str, float], ...] = ()
    jpeg_quality: int = JPEG_QUALITY
    min_face: int | None = None
    masks: bool = False

    def to_recipe(self) -> CropRecipe:
        """Returns the crop recipe of these settings."""
        shared = {field.name for field in dataclasses.fields(CropRecipe)}
        values = {n: v for n, v in dataclasses.asdict(self).items() if n in shared}
        if self.detector == "mtcnn":
            values["min_face"] = self.min_face or MIN_FACE
        digest = hash_detector(self.detector, self.detector_model)
        return CropRecipe(**values, detector_sha256=digest)


def choose_frames(n_frames: int, *, frames: int | None, every: int | None) -> list[int]:
    """Returns the source frame numbers of the frames to extract, in ascending order.

    Args:
        n_frames: Number of frames of the video.
        frames: Number of evenly spaced frames, including the first and the last one; a video with
            fewer frames gives all of them. None if `every` is given.
        every: Step between frames, from frame 0. None if `frames` is given.

    Raises:
        ValueError: Neither or both of `frames` and `every` are given, or one is not positive.
    """
    if (frames is None) == (every is None) or (frames or every or 0) < 1:
        raise ValueError("give one of frames and every, which must be at least 1")
    if every is not None:
        return list(range(0, n_frames, every))
    count = min(frames or 0, n_frames)
    return np.linspace(0, n_frames - 1, count).round().astype(int).tolist()


def check_settings(settings: ExtractionSettings) -> None:
    """Checks the settings of an extraction.

    Raises:
        UsageError: A setting is unknown, out of range, or lacks another one that it needs.
    """
    for name in ("frames", "every", "size", "margin", "min_face"):
        value = getattr(settings, name)
        if value is not None and not 0 < value < float("inf"):
            raise UsageError(f"{name} must be positive, not {value:g}")
    if (settings.frames is None) == (settings.every is None):
        raise UsageError("give either frames or every")
    if settings.detector == "precomputed":
        Precomputed(settings.detector_model)
    elif settings.detector not in DETECTORS:
        raise unknown("face detector", settings.detector, (*DETECTORS, "precomputed"))
    else:
        make_detector(settings.detector, settings.detector_model, min_face=settings.min_face)
    if settings.faces not in FACES:
        raise unknown("choice of faces", settings.faces, FACES)
    names = [name for name, _ in settings.min_quality]
    for name in names:
        if name not in QUALITIES:
            raise unknown("quality", name, QUALITIES)
    dependent = [*(["align"] if settings.align else []), *(n for n in names if n in INFORMED)]
    if dependent and settings.detector != "precomputed":
        check_alignable(settings.detector, dependent[0])


class Override(NamedTuple):
    """Settings of prediction that replace those of the recipe; None follows the recipe."""

    detector: str | None = None
    margin: float | None = None
    align: bool | None = None


def follow_recipe(
    recipe: CropRecipe | None,
    sampling: Sampling,
    *,
    size: int,
    detector_model: str | None = None,
    override: Override = Override(),  # noqa: B008  # immutable
) -> tuple[ExtractionSettings, list[str]]:
    """Returns the settings that follow a crop recipe, and sentences for the user.

    The sentences name assumptions without a recipe, settings that the caller overrides, and parts
    of the recipe that cannot be followed. Where `override` names a face detector without landmarks,
    faces are not aligned, and thresholds that need landmarks do not apply.

    Args:
        recipe: Crop recipe of the training data, or None if it is not known.
        sampling: Sampling of clips. It determines the frames that are searched for faces if the
            recipe does not.
        size: Side of the crops in pixels.
        detector_model: Model file of the face detector.
        override: Settings that replace those of the recipe.

    Raises:
        UsageError: The faces of the recipe were precomputed, and `override` names no face detector,
            or an unknown one.
    """
    if override.detector is not None and override.detector not in DETECTORS:
        raise unknown("face detector", override.detector, DETECTORS)
    followed = _override(recipe or CropRecipe(), override)
    if followed.detector == "precomputed":
        raise UsageError(
            "the faces of the training data were found by another program; choose the most similar "
            f"face detector: {', '.join(DETECTORS)}"
        )
    frames, every = followed.frames, followed.every
    if frames is None and every is None:
        every = {"stride": sampling.stride, "even": None}.get(sampling.kind, 1)
        frames = None if every else max(GRID, sampling.frames)
    settings = ExtractionSettings(
        detector=followed.detector,
        detector_model=detector_model,
        frames=frames,
        every=every,
        size=size,
        margin=followed.margin,
        align=followed.align,
        min_quality=followed.min_quality,
        jpeg_quality=followed.jpeg_quality,
        min_face=followed.min_face,
    )
    return settings, _compare(recipe, settings)


def _override(recipe: CropRecipe, override: Override) -> CropRecipe:
    """Returns the recipe with the settings of the caller, without what they make impossible."""
    given = {name: value for name, value in override._asdict().items() if value is not None}
    if override.detector is not None and override.detector not in LANDMARK_DETECTORS:
        lacking = DETECTED if override.detector == "none" else INFORMED
        least = tuple(pair for pair in recipe.min_quality if pair[0] not in lacking)
        given = {"align": False, "min_quality": least, **given}
    followed = dataclasses.replace(recipe, **given)
    if followed.detector != "mtcnn":
        return dataclasses.replace(followed, min_face=None)
    if followed.detector == recipe.detector and followed.min_face is None:
        return dataclasses.replace(followed, min_face=OLD_MIN_FACE)
    return followed


def _compare(recipe: CropRecipe | None, settings: ExtractionSettings) -> list[str]:
    """Returns a sentence for each difference between prediction and the training crops."""
    if recipe is None:
        aligned = "aligned" if settings.align else "not aligned"
        return [
            "the crop recipe of the training data is not recorded; faces are cropped with face "
            f"detector {settings.detector}, margin {settings.margin:g}, {aligned}"
        ]
    notes = [
        f"{name} is {getattr(settings, name)}, but the training crops were made with "
        f"{getattr(recipe, name)}"
        for name in Override._fields
        if getattr(settings, name) != getattr(recipe, name)
    ]
    if recipe.align and not settings.align and settings.detector not in LANDMARK_DETECTORS:
        notes.append(f"the face detector {settings.detector} gives no landmarks to align faces by")
    dropped = [pair for pair in recipe.min_quality if pair not in settings.min_quality]
    if dropped:
        notes.append(
            f"the minimum quality of the training crops ({_join_thresholds(dropped)}) does not "
            f"apply, because the face detector {settings.detector} does not measure it"
        )
    if settings.detector != "none" and settings.faces != recipe.faces:
        chosen = "several choices of faces" if recipe.faces is None else f"faces={recipe.faces}"
        notes.append(
            f"the main face of every video is cropped (faces={settings.faces}), but the training "
            f"crops were made with {chosen}"
        )
    digest = hash_detector(settings.detector, settings.detector_model)
    if settings.detector == recipe.detector and recipe.detector_sha256 not in (None, digest):
        notes.append(
            f"the model file of {recipe.detector} (SHA-256 {str(digest)[:12]}…) is not that of the "
            f"training crops ({str(recipe.detector_sha256)[:12]}…)"
        )
    if recipe.flow_method not in (None, "dis"):
        notes.append(
            "the optical flow of the training data was read from files of another program; here it "
            "is computed by dense inverse search"
        )
    return notes


def describe_threshold(settings: ExtractionSettings) -> str:
    """Returns the message for a video whose crops are all below the thresholds."""
    least = _join_thresholds(settings.min_quality)
    return f"none of its face crops reaches the minimum quality ({least})"


def _join_thresholds(thresholds: Iterable[tuple[str, float]]) -> str:
    return ", ".join(f"{name}={value:g}" for name, value in thresholds)
