"""Settings of an extraction: which frames, which faces, how they are cut.

They are made from arguments (`dfjax data extract`) or from the crop recipe of training data, which
prediction follows.
"""

import dataclasses
from typing import NamedTuple

import numpy as np

from dfjax.data.clips.sampling import Sampling
from dfjax.data.faces.detectors import DETECTORS, check_alignable, hash_detector, make_detector
from dfjax.data.faces.detectors.precomputed import Precomputed
from dfjax.data.faces.quality import QUALITIES
from dfjax.data.faces.recipe import JPEG_QUALITY, CropRecipe
from dfjax.errors import UsageError, unknown

FACES = ("best", "mask", "all")
INFORMED = ("score", "frontal")  # qualities that need more than a box
GRID = 32  # frames spread evenly, where a recipe does not say how many were taken


@dataclasses.dataclass(frozen=True)
class Settings:
    """What decides the crops; one extraction folder has one set of them.

    Attributes:
        detector: Name for `make_detector`, or `precomputed`.
        detector_model: YuNet's ONNX file, or the file of precomputed faces.
        frames: Number of frames per video, spread evenly; or
        every: Distance of the frames taken, in source frames.
        size: Side of the crops in pixels.
        margin: Side of the region cut out, in sides of the face.
        align: Whether to turn faces upright by their landmarks.
        faces: `best` takes the face that is large, lasts and is central; `mask` the one that the
            data set's manipulation mask covers, where there is a mask; `all` every one that lasts.
        min_quality: Pairs of a name of `QUALITIES` and its threshold; crops below are left out.
        jpeg_quality: Quality of the stored crops.
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

    def to_recipe(self) -> CropRecipe:
        """Returns the crop recipe of these settings."""
        shared = {field.name for field in dataclasses.fields(CropRecipe)}
        values = {n: v for n, v in dataclasses.asdict(self).items() if n in shared}
        digest = hash_detector(self.detector, self.detector_model)
        return CropRecipe(**values, detector_sha256=digest)


def choose_frames(n_frames: int, *, frames: int | None, every: int | None) -> list[int]:
    """Returns source frame numbers: `frames` of them spread evenly, or `every` n-th from 0.

    The even choice includes the first and the last frame; a video with fewer frames gives all.

    Raises:
        ValueError: not exactly one of `frames` and `every` is given and positive.
    """
    if (frames is None) == (every is None) or (frames or every or 0) < 1:
        raise ValueError("give one of frames and every, at least 1")
    if every is not None:
        return list(range(0, n_frames, every))
    count = min(frames or 0, n_frames)
    return np.linspace(0, n_frames - 1, count).round().astype(int).tolist()


def check_settings(settings: Settings) -> None:
    """Raises a `UsageError` for settings that no video can be extracted with."""
    for name in ("frames", "every", "size", "margin"):
        value = getattr(settings, name)
        if value is not None and not 0 < value < float("inf"):
            raise UsageError(f"{name} must be positive, not {value:g}")
    if (settings.frames is None) == (settings.every is None):
        raise UsageError("give frames or every, one of the two")
    if settings.detector == "precomputed":
        Precomputed(settings.detector_model)
    elif settings.detector not in DETECTORS:
        raise unknown("face detector", settings.detector, (*DETECTORS, "precomputed"))
    else:
        make_detector(settings.detector, settings.detector_model)
    if settings.faces not in FACES:
        raise unknown("choice of faces", settings.faces, FACES)
    names = [name for name, _ in settings.min_quality]
    for name in names:
        if name not in QUALITIES:
            raise unknown("quality", name, QUALITIES)
    needy = [*(["align"] if settings.align else []), *(n for n in names if n in INFORMED)]
    if needy and settings.detector != "precomputed":
        check_alignable(settings.detector, needy[0])


class Override(NamedTuple):
    """What a caller of prediction wants otherwise than the recipe says; None follows the recipe."""

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
) -> tuple[Settings, list[str]]:
    """Returns the settings that cut faces as a recipe says, and sentences for the user.

    The sentences say what is assumed where there is no recipe, what the caller overrides, and what
    cannot be followed.

    Args:
        recipe: Recipe of the training data, None where it is not known.
        sampling: How clips are sampled; decides which frames are searched for faces where the
            recipe does not say.
        size: Side of the crops in pixels.
        detector_model: Model file of the face detector.
        override: What to do otherwise than the recipe says.

    Raises:
        UsageError: the recipe's faces were precomputed, and `override` names no face detector.
    """
    followed = recipe or CropRecipe()
    for name, value in override._asdict().items():
        if value is not None:
            followed = dataclasses.replace(followed, **{name: value})
    if followed.detector == "precomputed":
        raise UsageError(
            "the faces of the training data were precomputed by another program; name the face "
            "detector that is nearest to it (detector)"
        )
    frames, every = followed.frames, followed.every
    if frames is None and every is None:
        every = {"stride": sampling.stride, "even": None}.get(sampling.kind, 1)
        frames = None if every else max(GRID, sampling.frames)
    settings = Settings(
        detector=followed.detector,
        detector_model=detector_model,
        frames=frames,
        every=every,
        size=size,
        margin=followed.margin,
        align=followed.align,
        min_quality=followed.min_quality,
        jpeg_quality=followed.jpeg_quality,
    )
    return settings, _compare(recipe, settings)


def _compare(recipe: CropRecipe | None, settings: Settings) -> list[str]:
    """Returns a sentence for everything in which prediction differs from the training crops."""
    if recipe is None:
        aligned = "aligned" if settings.align else "not aligned"
        return [
            "how the training crops were cut is not recorded; cut here with face detector "
            f"{settings.detector}, margin {settings.margin:g}, {aligned}"
        ]
    notes = [
        f"{name} is {getattr(settings, name)}, the training crops were cut with "
        f"{getattr(recipe, name)}"
        for name in Override._fields
        if getattr(settings, name) != getattr(recipe, name)
    ]
    digest = hash_detector(settings.detector, settings.detector_model)
    if settings.detector == recipe.detector and recipe.detector_sha256 not in (None, digest):
        notes.append(
            f"the model of {recipe.detector} (SHA-256 {str(digest)[:12]}…) is not the one that cut "
            f"the training crops ({str(recipe.detector_sha256)[:12]}…)"
        )
    if recipe.flow_method not in (None, "dis"):
        notes.append(
            "the training flow was read from files of another program; here it is computed by "
            "dense inverse search"
        )
    return notes


def describe_threshold(settings: Settings) -> str:
    """Returns the sentence for a video whose crops are all below the thresholds."""
    least = ", ".join(f"{name}={value:g}" for name, value in settings.min_quality)
    return f"none of its face crops reaches the least quality ({least})"
