"""Scores of frames by DeepfakeBench: the images by their paths, described by its JSON files.

DeepfakeBench scores single images and names them by their paths. A file of scores is a table with a
column of image paths, or JSON with lists of the same length, `{"img_names", "pred", "label"}`, for
one data set or for several by name. Labels, data sets, methods, splits and videos of the images are
in the files `preprocessing/dataset_json/*.json` of the benchmark.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

import pandas as pd

import dfjax
from dfjax.data.index.adapters.deepfakebench import list_frames
from dfjax.errors import UsageError
from dfjax.evaluation.tables.image_ids import number_images
from dfjax.evaluation.tables.normalisation import read_labels
from dfjax.evaluation.tables.table_files import TableFile
from dfjax.evaluation.tables.unscored import leave_out
from dfjax.evaluation.videos.aggregation import KEY
from dfjax.files import write_json
from dfjax.json_files import check_value, read_json

IMAGE = "image"
IMAGE_NAMES = ("image", "image_path", "img_path", "img_name", "img_names", "frame_path")
MARK = "dfjax_scores"  # key of the version in files that `write_scores` wrote
PATHS, SCORES = ("img_names", "image"), "pred"
LIST = {"pred": [(float, None)], "label?": [int]}
FIELDS = ("dataset", "video_id", "label", "method", "compression")
ANCHOR = re.compile(r".*(?:^|/)(?:rgb|lmdb)/")
"""Folder that the paths of images are compared below, as the rest differs between machines."""


def is_listing(content: Any) -> bool:
    """Returns whether JSON is a list of data sets by class and split, rather than of scores."""
    classes = [one for one in content.values() if isinstance(one, dict)] if content else []
    return bool(classes) and all(
        isinstance(splits, dict) and set(splits) & {"train", "val", "test"}
        for one in classes
        for splits in one.values()
    )


def read_scores(path: Path, content: Mapping[str, Any]) -> TableFile:
    """Returns the scores in JSON as a table with the columns `image fake_prob` and possibly others.

    Args:
        path: File, for messages.
        content: Value in the file.

    Raises:
        FileError: The lists are missing, or are no numbers and paths.
        UsageError: The lists have different lengths.
    """
    nested = SCORES not in content
    content = {name: lists for name, lists in content.items() if name != MARK}
    parts = []
    for name, lists in content.items() if nested else [("", content)]:
        check_value(lists, LIST, name=f"{path}: {name}" if nested else str(path))
        paths = next((lists[key] for key in PATHS if key in lists), None)
        check_value(paths, [str], name=f"{path}: {PATHS[0]}")
        columns = {IMAGE: paths, "fake_prob": lists[SCORES]}
        columns |= {"label": lists["label"]} if "label" in lists else {}
        if len({len(values) for values in columns.values()}) > 1:
            raise UsageError(f"{path}: its lists have different lengths")
        part = pd.DataFrame(columns)
        parts.append(part.assign(dataset=name) if nested else part)
    if not parts:
        raise UsageError(f"{path} has no scores")
    return TableFile(pd.concat(parts, ignore_index=True), {}, [])


def find_image_column(columns: Iterable[str]) -> str | None:
    """Returns the column with the paths of images, or None."""
    return next((name for name in columns if str(name).casefold() in IMAGE_NAMES), None)


def read_listings(paths: Iterable[Path]) -> pd.DataFrame:
    """Returns the images in JSON files of the benchmark: `image dataset video_id … frame split`."""
    rows = []
    for path in paths:
        for fields, split, frames in list_frames(path):
            known = [fields.get(name) for name in FIELDS]
            rows += [(_shorten(one), *known, place, split) for place, one in enumerate(frames)]
    images = pd.DataFrame(rows, columns=[IMAGE, *FIELDS, "frame", "split"])
    return images.drop_duplicates(IMAGE)  # files of the benchmark repeat videos


def join_images(read: TableFile, images: pd.DataFrame | None, name: str) -> TableFile:
    """Returns the scores with the video and frame of each image.

    Without `images` the video of an image is its folder, and the frame the number in its name.

    Args:
        read: Table with a column of image paths.
        images: Images of `read_listings`, or None.
        name: Name of the file, for messages.

    Raises:
        UsageError: No image of the table is among `images`.
    """
    column = find_image_column(read.table.columns)
    paths = read.table[column].astype(str).map(_shorten)
    table = read.table.drop(columns=column).assign(**{IMAGE: paths})
    if images is None:
        folders = paths.map(lambda path: str(PurePosixPath(path).parent))
        note = f"{name}: the folder of an image was read as the video, its name as the frame"
        table["video_id"], table["frame"] = folders, number_images(paths, folders)
        return TableFile(table, read.metadata, [*read.notes, note])
    rest = table.drop(columns=[n for n in (*FIELDS, "frame", "split") if n in table])
    joined = rest.merge(images, on=IMAGE, how="left")
    known = joined["video_id"].notna()
    if not known.any():
        raise UsageError(f"{name}: none of its images is listed, for example {paths.iloc[0]}")
    joined["video_id"] = joined["video_id"].where(known, joined[IMAGE])
    kept, flags = leave_out(
        joined, known, name, lacks="are of images that are not listed", code="not_listed",
        severity="error",
    )  # fmt: skip
    if "label" in table:
        given = read_labels(table.loc[known.to_numpy(), "label"].reset_index(drop=True), name)
        differ = given != kept["label"]
        if differ.any():
            raise UsageError(
                f"{name}: {differ.sum()} images have another label than in the list, for example "
                f"{kept.loc[differ, IMAGE].iloc[0]}"
            )
    kept = kept.astype({"frame": "int64", "label": "int64"})
    return TableFile(kept, read.metadata, list(read.notes), flags)


def write_scores(predictions: pd.DataFrame, path: Path) -> None:
    """Writes the scores of frames or clips as JSON lists by data set, as the benchmark names them.

    The path of an image is `VIDEO_ID/FRAME.png`, below the name of its data set.

    Args:
        predictions: Table with the columns `predictions.COLUMNS`.
        path: JSON file to write.
    """
    rows = predictions.drop_duplicates(KEY).sort_values(KEY)
    lists: dict[str, Any] = {MARK: dfjax.__version__}
    for dataset, part in rows.groupby("dataset"):
        frames = zip(part["video_id"], part["position"])
        lists[str(dataset)] = {
            "img_names": [f"{video}/{frame:03d}.png" for video, frame in frames],
            "pred": part["fake_prob"].tolist(),
            "label": part["label"].tolist(),
        }
    write_json(path, lists)


def read_json_table(path: Path) -> TableFile | None:
    """Returns the scores in a JSON file; None if it lists videos of the benchmark.

    Raises:
        FileError: The file is not JSON, or holds neither.
    """
    content = read_json(path, {str: object})
    return None if is_listing(content) else read_scores(path, content)


def _shorten(path: str) -> str:
    return ANCHOR.sub("", path.replace("\\", "/")).removeprefix("./")
