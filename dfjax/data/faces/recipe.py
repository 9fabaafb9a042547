"""The crop recipe records how faces were found and cropped, so that prediction can do the same.

Extraction writes it to the metadata of the index. Indexes with flow, new splits or merged rows keep
it. A pack stores it as `crop_recipe.json`, and a workdir as the section `crops` of its config.
"""

import dataclasses
import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from dfjax.data.index.records import find_index
from dfjax.errors import FileError, UsageError
from dfjax.files import write_json
from dfjax.json_files import check_value, parse_json, read_json
from dfjax.parquet_files import read_parquet_metadata

RECIPE_KEY = "crop_recipe"
"""Key in the Parquet metadata of an index under which the recipe is stored as JSON."""

RECIPE_FILE = "crop_recipe.json"
"""Name of the file in the folder of a pack that holds the recipe."""

JPEG_QUALITY = 95

RECIPE = {
    **{"detector?": str, "detector_sha256?": (str, None), "margin?": float, "align?": bool},
    **{"size?": int, "jpeg_quality?": int, "faces?": (str, None), "flow_method?": (str, None)},
    **{"frames?": (int, None), "every?": (int, None), "min_quality?": object},
    "min_face?": (int, None),
}
"""Schema of a recipe in JSON."""

MAY_DIFFER = ("faces", "frames", "every", "min_quality")
"""Fields that may differ between the indexes of a pack, because they do not affect cropping."""


@dataclasses.dataclass(frozen=True)
class CropRecipe:
    """How face crops were made. The defaults are those of `dfjax data extract`.

    Attributes:
        detector: Name of the face detector.
        detector_sha256: Hash of the face detector's model, or None if it has none.
        margin: Side of the cropped region relative to the face's box.
        align: Whether faces were aligned by their landmarks.
        size: Side of the crops in pixels.
        jpeg_quality: JPEG quality of the stored crops.
        faces: Which faces of a video were cropped: `best`, `mask` or `all`.
        flow_method: How optical flow between crops was computed: `dis` (dense inverse search),
            `flo` (read from files of another program), or None without flow.
        frames: Number of evenly spaced frames per video, or None if `every` is set.
        every: Step between the frames of a video, in source frames, or None if `frames` is set.
        min_quality: Pairs of a quality's name and the threshold below which crops were left out.
        min_face: Side of the smallest face that `mtcnn` finds, in pixels (see `make_detector`);
            None for other face detectors.
    """

    detector: str = "haar"
    detector_sha256: str | None = None
    margin: float = 1.3
    align: bool = False
    size: int = 256
    jpeg_quality: int = JPEG_QUALITY
    faces: str | None = "best"
    flow_method: str | None = None
    frames: int | None = None
    every: int | None = None
    min_quality: tuple[tuple[str, float], ...] = ()
    min_face: int | None = None


def make_metadata(recipe: CropRecipe | None) -> dict[str, str]:
    """Returns the metadata entries of a recipe for `write_index`, which are empty for None."""
    return {} if recipe is None else {RECIPE_KEY: json.dumps(dataclasses.asdict(recipe))}


def parse_recipe(values: Mapping[str, Any]) -> CropRecipe:
    """Returns the recipe in a JSON object or a config section.

    Unknown keys, such as those of later versions, are ignored.

    Raises:
        UsageError: A field has an invalid value.
    """
    names = {field.name for field in dataclasses.fields(CropRecipe)}
    known = {name: value for name, value in values.items() if name in names}
    check_value(known, RECIPE, name="the crop recipe")
    try:
        pairs = tuple((str(name), float(least)) for name, least in known.pop("min_quality", ()))
    except (TypeError, ValueError) as error:
        raise FileError(f"the crop recipe is damaged: min_quality: {error}") from error
    if "margin" in known:
        known["margin"] = float(known["margin"])  # JSON may write it as a whole number
    recipe = CropRecipe(**known, min_quality=pairs)
    if not (recipe.margin > 0 and recipe.size >= 0 and 0 < recipe.jpeg_quality <= 100):
        raise FileError(
            f"the crop recipe is damaged: margin {recipe.margin}, size {recipe.size}, "
            f"jpeg_quality {recipe.jpeg_quality}"
        )
    return recipe


def read_crop_recipe(path: str | os.PathLike[str]) -> CropRecipe | None:
    """Returns the recipe of a pack, a feature pack or an index, or None if it is not known.

    It is not known for data sets that are published as crops, and for packs made before recipes
    were recorded.

    Args:
        path: Folder of a pack, folder that holds an index, or index file.

    Raises:
        UsageError: There is no index, or the recipe is damaged.
    """
    index = find_index(path)
    file = index.parent / RECIPE_FILE
    if index.name == "index.parquet" and file.is_file():
        return parse_recipe(read_json(file, {str: object}))
    text = _read_metadata(index)
    if text is None:
        return None
    return parse_recipe(parse_json(text, {str: object}, name=f"the crop recipe of {path}"))


def _read_metadata(index: Path) -> bytes | None:
    if not index.is_file():
        raise UsageError(f"no index at {index}; `dfjax data index` makes one")
    return read_parquet_metadata(index).get(RECIPE_KEY.encode())


def write_crop_recipe(folder: Path, recipe: CropRecipe | None) -> None:
    """Writes the recipe to the folder of a pack, or writes nothing if it is not known."""
    if recipe is not None:
        write_json(folder / RECIPE_FILE, dataclasses.asdict(recipe))


def list_differences(ours: CropRecipe, theirs: CropRecipe) -> list[str]:
    """Returns the fields by which two recipes crop faces differently, as `margin: 1.3 and 1.5`.

    Fields of `MAY_DIFFER` are not compared, nor are hashes of files of precomputed faces or of
    different face detectors, nor the margin without a face detector, which has no effect. A hash or
    flow method that only one recipe has is no difference.
    """
    names = [field.name for field in dataclasses.fields(CropRecipe) if field.name not in MAY_DIFFER]
    if ours.detector != theirs.detector or ours.detector == "precomputed":
        names.remove("detector_sha256")
    if ours.detector == theirs.detector == "none":
        names.remove("margin")
    pairs = {name: (getattr(ours, name), getattr(theirs, name)) for name in names}
    for name in ("detector_sha256", "flow_method"):
        if None in pairs.get(name, ()):
            del pairs[name]
    return [f"{name}: {one} and {other}" for name, (one, other) in pairs.items() if one != other]


def merge_recipes(recipes: Iterable[tuple[str, CropRecipe | None]]) -> CropRecipe | None:
    """Returns the common recipe of crops from several indexes.

    Unknown recipes are ignored, so that extracted crops can be merged with data sets that are
    published as crops. Fields of `MAY_DIFFER` that differ become None (`min_quality` becomes
    empty), and so does the hash of files of precomputed faces.

    Args:
        recipes: Pairs of the index's name and its recipe.

    Raises:
        UsageError: Two recipes crop faces differently; the message names the field.
    """
    known = [(name, recipe) for name, recipe in recipes if recipe is not None]
    if not known:
        return None
    first, merged = known[0]
    for name, recipe in known[1:]:
        differences = list_differences(merged, recipe)
        if differences:
            raise UsageError(
                f"the crops of {first} and {name} have different crop recipes "
                f"({'; '.join(differences)}), and prediction can follow only one: extract one of "
                "them again with the settings of the other"
            )
        values: dict[str, Any] = {}
        for field in ("detector_sha256", *MAY_DIFFER):
            if getattr(merged, field) != getattr(recipe, field):
                values[field] = () if field == "min_quality" else None
        flow_method = merged.flow_method or recipe.flow_method
        merged = dataclasses.replace(merged, **values, flow_method=flow_method)
    return merged
