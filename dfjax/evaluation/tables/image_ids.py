"""Ids that name images: the frames of one video are not videos of their own."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd

from dfjax.evaluation.flags import Flag, make_flag
from dfjax.evaluation.tables.label_words import LABEL_WORDS, find_label
from dfjax.evaluation.tables.table_files import TableFile

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".webp", ".tif", ".tiff")
FRAME_NAME = r"^(.+)[_-](?:frame)?(\d+)(\.\w+)?$"
MANY_STEMS = 5
"""Number of repeated stems from which names without a suffix of images look like frames."""


def read_image_ids(read: TableFile, name: str) -> TableFile:
    """Returns a table in which the folder of an image is the video, where ids are paths of images.

    The frame is the number in the name of the image, if there is no column with it. Folders that
    are classes, or hold both, are no videos; such ids stay, with a flag, as do names without a
    folder of which several differ in a number at their end.

    Args:
        read: Table with the usual names of columns.
        name: Name of the file, for messages.
    """
    table = read.table
    if "video_id" not in table or "unit" in table or not len(table):
        return read
    codes, ids = pd.factorize(table["video_id"].map(str, na_action="ignore"))
    paths = pd.Series(ids, dtype="object").str.replace("\\", "/", regex=False)
    images = paths.str.casefold().str.endswith(SUFFIXES)
    if not len(paths) or (codes < 0).any():
        return read
    if not all(images) or not paths.str.contains("/").all():
        flag = None if len(ids) < len(table) else _doubt_names(paths, all(images), name)
        return read._replace(flags=[*read.flags, flag]) if flag else read
    folders = paths.str.rpartition("/")[0]
    if folders.is_unique:
        return read
    if _are_classes(folders, codes, table):
        message = (
            f"{name}: images in folders of classes are counted as videos; if they are frames, name "
            "the video of each in a column video_id"
        )
        return read._replace(flags=[*read.flags, make_flag("images_as_videos", "warning", message)])
    changed = table.assign(video_id=folders.to_numpy()[codes])
    note = f"{name}: the folder of an image in video_id was read as the video"
    if not {"frame", "clip", "position"} & set(table):
        changed["frame"] = number_images(paths, folders).to_numpy()[codes]
        note += ", its name as the frame"
    return TableFile(changed, read.metadata, [*read.notes, note], read.flags)


def number_images(paths: pd.Series, folders: pd.Series) -> pd.Series:
    """Returns the number at the end of each image's name, or its place in its folder."""
    found = paths.str.extract(r"(\d{1,9})\.\w+$")[0]
    if found.notna().all():
        return found.astype("int64")
    return paths.groupby(folders).cumcount()


def _are_classes(folders: pd.Series, codes: np.ndarray, table: pd.DataFrame) -> bool:
    """Returns whether folders are named as classes, or some has images of both classes."""
    last = folders.str.rpartition("/")[2].str.casefold()
    if (last.isin(list(LABEL_WORDS)) & ~last.str.fullmatch(r"[\d.]+")).any():
        return True
    if "label" not in table:
        return False
    labels = table["label"].map(find_label)
    return bool((labels.groupby(folders.to_numpy()[codes]).nunique() > 1).any())


def _doubt_names(ids: pd.Series, images: bool, name: str) -> Flag | None:
    """Returns a flag if many distinct ids differ from others in the number at their end only."""
    parts = ids.str.extract(FRAME_NAME, flags=re.IGNORECASE)
    known = parts[0].notna()
    suffixes = parts[2].dropna().str.casefold().unique()
    if 2 * known.sum() < len(ids) or (not images and len(suffixes)):
        return None
    sizes = parts[0].value_counts()
    repeated = sizes[sizes > 1]
    shared = parts.loc[known, 1].duplicated().any()  # one number in several stems
    if 2 * repeated.sum() < len(ids) or len(repeated) < (2 if images else MANY_STEMS) or not shared:
        return None
    message = (
        f"{name}: {repeated.sum():,} names differ in the number at their end only, as of "
        f"{len(repeated):,} videos such as {repeated.index[0]}; each is counted as a video. If "
        "they are frames, intervals are too narrow: write video_id and frame as two columns"
    )
    return make_flag("images_as_videos", "warning" if images else "info", message)
