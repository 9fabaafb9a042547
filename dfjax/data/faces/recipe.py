"""The crop recipe: how faces were found and cut out, so that prediction can do the same.

Extraction writes it into the metadata of the index; flow, splits and merges carry it on; a pack
keeps it as `crop_recipe.json` and a workdir as the section `crops` of its config.
"""

import dataclasses
import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from dfjax.data.index.records import find_index
from dfjax.errors import UsageError
from dfjax.files import write_json

RECIPE_KEY = "crop_recipe"
"""Entry of an index's Parquet metadata that holds the recipe as JSON."""

RECIPE_FILE = "crop_recipe.json"
"""File in the folder of a pack that holds the recipe."""

JPEG_QUALITY = 95

MAY_DIFFER = ("faces", "frames", "every", "min_quality")
"""Fields that may differ between the indexes of one pack: they do not change how a face is cut."""


@dataclasses.dataclass(frozen=True)
class CropRecipe:
    """How face crops were made. The defaults are those of `dfjax data extract`.

    Attributes:
        detector: Name of the face detector.
        detector_sha256: Hash of the face detector's model file; None where it has none.
        margin: Side of the region cut out, in sides of the face.
        align: Whether faces were turned upright by their landmarks.
        size: Side of the crops in pixels.
        jpeg_quality: Quality of the stored crops.
        faces: Which faces of a video were taken: `best`, `mask` or `all`.
        flow_method: How optical flow between crops was computed: `dis`, `flo` (read from files of
            another program), or None without flow.
        frames: Number of frames per video, spread evenly; None where `every` decides.
        every: Distance of the frames taken, in source frames; None where `frames` decides.
        min_quality: Pairs of a quality's name and the threshold below which crops were left out.
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


def make_metadata(recipe: CropRecipe | None) -> dict[str, str]:
    """Returns the entry for the metadata of an index, see `write_index`; none for None."""
    return {} if recipe is None else {RECIPE_KEY: json.dumps(dataclasses.asdict(recipe))}


def parse_recipe(values: Mapping[str, Any]) -> CropRecipe:
    """Returns the recipe in a JSON object or a config section; keys of later versions are ignored.

    Raises:
        UsageError: a field has a value of the wrong kind.
    """
    names = {field.name for field in dataclasses.fields(CropRecipe)}
    known = {name: value for name, value in values.items() if name in names}
    try:
        pairs = tuple((str(name), float(least)) for name, least in known.pop("min_quality", ()))
        recipe = CropRecipe(**known, min_quality=pairs)
        if not (isinstance(recipe.detector, str) and recipe.margin > 0 and recipe.size >= 0):
            raise ValueError(f"detector {recipe.detector!r}, margin {recipe.margin!r}")
    except (TypeError, ValueError) as error:
        raise UsageError(f"the crop recipe is damaged: {error}") from error
    return recipe


def read_crop_recipe(path: str | os.PathLike[str]) -> CropRecipe | None:
    """Returns the recipe of a pack, a feature pack or an index; None where it is not known.

    It is not known for data sets that come as crops, and for packs made before it was recorded.

    Args:
        path: Folder of a pack, folder that holds an index, or index file.

    Raises:
        UsageError: no index there, or the recipe is damaged.
    """
    index = find_index(path)
    file = index.parent / RECIPE_FILE
    if index.name == "index.parquet" and file.is_file():
        text: str | None = file.read_text(encoding="utf-8")
    else:
        text = _read_metadata(index)
    if text is None:
        return None
    try:
        values = json.loads(text)
    except ValueError as error:
        raise UsageError(f"the crop recipe of {path} is damaged: {error}") from error
    if not isinstance(values, dict):
        raise UsageError(f"the crop recipe of {path} is damaged: it is not an object")
    return parse_recipe(values)


def _read_metadata(index: Path) -> str | None:
    if not index.is_file():
        raise UsageError(f"no index at {index}; `dfjax data index` makes one")
    try:
        entries = pq.read_schema(index).metadata or {}
    except (pa.ArrowException, OSError) as error:
        raise UsageError(f"{index} is not a readable Parquet index: {error}") from error
    text = entries.get(RECIPE_KEY.encode())
    return None if text is None else text.decode()


def write_crop_recipe(folder: Path, recipe: CropRecipe | None) -> None:
    """Writes the recipe into the folder of a pack; nothing where it is not known."""
    if recipe is not None:
        write_json(folder / RECIPE_FILE, dataclasses.asdict(recipe))


def merge_recipes(recipes: Iterable[tuple[str, CropRecipe | None]]) -> CropRecipe | None:
    """Returns the recipe of crops that come from several indexes.

    Unknown recipes are passed over, so that our own crops go beside data sets that come as crops.
    Fields of `MAY_DIFFER` that differ become None (no thresholds). So does the hash of the file of
    precomputed faces, of which every data set has its own.

    Args:
        recipes: Pairs of the index's name and its recipe.

    Raises:
        UsageError: two recipes cut faces in different ways; the message names the field.
    """
    known = [(name, recipe) for name, recipe in recipes if recipe is not None]
    if not known:
        return None
    first, merged = known[0]
    for name, recipe in known[1:]:
        values = {}
        for field in (field.name for field in dataclasses.fields(CropRecipe)):
            ours, theirs = getattr(merged, field), getattr(recipe, field)
            own_file = field == "detector_sha256" and recipe.detector == "precomputed"
            if field == "flow_method" and None in (ours, theirs):
                values[field] = ours or theirs
            elif ours == theirs:
                values[field] = ours
            elif field in MAY_DIFFER or own_file:
                values[field] = () if field == "min_quality" else None
            else:
                raise UsageError(
                    f"the crops of {first} and {name} were cut in different ways ({field}: {ours} "
                    f"and {theirs}), and prediction could not follow both: extract one of them "
                    "again with the settings of the other"
                )
        merged = CropRecipe(**values)
    return merged
