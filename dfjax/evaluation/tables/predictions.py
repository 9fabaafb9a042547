"""Reads and writes prediction tables; tables of any detector get the same columns.

The columns are `dataset video_id unit position face label method logit fake_prob split`, with one
row per frame, clip or video. The key is (dataset, video_id, unit, position, face): rows are joined
by it, never by their order.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, TypeAlias

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

import dfjax
from dfjax.errors import UsageError
from dfjax.evaluation.flags import Flag, make_flag
from dfjax.evaluation.tables import deepfakebench_scores, dfwb_scores
from dfjax.evaluation.tables.column_names import TableForm
from dfjax.evaluation.tables.image_ids import read_image_ids
from dfjax.evaluation.tables.normalisation import COLUMNS as COLUMNS
from dfjax.evaluation.tables.normalisation import KNOWN, TEXT, normalise
from dfjax.evaluation.tables.normalisation import UNKNOWN as UNKNOWN
from dfjax.evaluation.tables.table_files import TableFile, read_table_file
from dfjax.evaluation.videos.aggregation import VIDEO, number_videos
from dfjax.files import atomic_path
from dfjax.json_files import parse_json
from dfjax.parquet_files import read_parquet_metadata

CHECKPOINT, HELDOUT = b"dfjax.checkpoint", b"dfjax.heldout_methods"

Sources: TypeAlias = Sequence[str | Path | pd.DataFrame]


class NamedTable(NamedTuple):
    """A table as it was read, and the name of its file for messages."""

    file: TableFile
    name: str


class ReadResult(NamedTuple):
    """Predictions, with other information in their files.

    Attributes:
        predictions: Table with the columns `COLUMNS`, and any others.
        flags: Flags for assumptions that had to be made.
        checkpoint: Name of the checkpoint, or None if the files have none.
        heldout_methods: Manipulations that were held back from training.
    """

    predictions: pd.DataFrame
    flags: list[Flag]
    checkpoint: str | None
    heldout_methods: tuple[str, ...]


def read_predictions(
    sources: Sources, index: pd.DataFrame | None = None, form: TableForm | None = None
) -> ReadResult:
    """Returns the rows of all `sources` as one table with the columns `COLUMNS`.

    A table needs `video_id`, `label` and one of `fake_prob` and `logit`, under these names, under
    those that `form` gives or under others that can mean nothing else; further columns are kept.
    Missing values are taken from `index` by `video_id`; otherwise the data set is `unknown` and the
    method `real` or `unknown`.

    Args:
        sources: Files (Parquet, CSV, score files of dfwb, JSON of DeepfakeBench), and tables in
            memory, which are not changed.
        index: Index of the videos, or None.
        form: How tables of other programs are to be read; None for the usual form.

    Raises:
        UsageError: A file does not exist, is not a table, lacks a column, or has a label that is
            neither real nor fake, a probability outside [0, 1], or two labels for one video.
    """
    form = form or TableForm()
    return combine(read_sources(sources, form), index, form.scale)


def read_sources(sources: Sources, form: TableForm, *, scores: bool = True) -> list[NamedTable]:
    """Returns the tables of `sources` with the usual names of columns.

    Args:
        sources: Files and tables in memory.
        form: How tables of other programs are to be read.
        scores: Whether a column of scores is looked for.
    """
    found, listings = [], []
    for source in sources:
        if isinstance(source, pd.DataFrame):
            named = form.name_columns(source.columns, KNOWN, name="the table", scores=scores)
            table = source.reset_index(drop=True).set_axis(named.names, axis=1)
            found.append(NamedTable(TableFile(table, {}, named.notes), "the table"))
        elif (file := read_file(Path(source), form, scores=scores)) is None:
            listings.append(Path(source))
        else:
            found.append(NamedTable(file, str(source)))
    if not found:
        raise UsageError(f"{', '.join(map(str, listings))}: it lists videos but has no scores")
    images = deepfakebench_scores.read_listings(listings) if listings else None
    return [_join_images(one, images) for one in found]


def _join_images(read: NamedTable, images: pd.DataFrame | None) -> NamedTable:
    column = deepfakebench_scores.find_image_column(read.file.table.columns)
    if column is None or (images is None and "video_id" in read.file.table):
        return NamedTable(read_image_ids(read.file, read.name), read.name)
    return NamedTable(deepfakebench_scores.join_images(read.file, images, read.name), read.name)


def combine(
    tables: Sequence[NamedTable], index: pd.DataFrame | None, scale: str | None
) -> ReadResult:
    """Returns tables as one, with the columns `COLUMNS`; their tables are changed.

    Args:
        tables: Tables with the usual names of columns.
        index: Index of the videos, or None.
        scale: Scale of the scores (see `TableForm`).
    """
    flags, checkpoints, heldout = list[Flag](), set(), set[str]()
    for read, name in tables:
        checkpoints.add(read.metadata.get(CHECKPOINT, b"").decode(errors="replace"))
        heldout |= _find_heldout(read.metadata, name)
        flags += [make_flag("read_as", "info", note) for note in read.notes]
        flags += [*read.flags, *normalise(read.table, name, index, scale)]
    predictions = pd.concat([read.table for read, _ in tables], ignore_index=True)
    _check_labels_agree(predictions)
    first = list(COLUMNS)
    others = [name for name in predictions.columns if name not in COLUMNS]
    checkpoint = ", ".join(sorted(filter(None, checkpoints))) or None
    return ReadResult(predictions[first + others], flags, checkpoint, tuple(sorted(heldout)))


def read_heldout(path: Path) -> set[str]:
    """Returns the manipulations that a file of predictions says were held back from training."""
    if not path.is_file() or path.suffix.lower() != ".parquet":
        return set()
    return _find_heldout(read_parquet_metadata(path), path)


def _find_heldout(metadata: Mapping[bytes, bytes], name: object) -> set[str]:
    methods = metadata.get(HELDOUT, b"[]")
    return set(parse_json(methods, [str], name=f"{HELDOUT.decode()} of {name}"))


def write_predictions(
    predictions: pd.DataFrame,
    path: str | Path,
    *,
    checkpoint: str,
    heldout_methods: Sequence[str] = (),
) -> None:
    """Writes the table as Parquet atomically, with checkpoint and methods in its metadata.

    Args:
        predictions: Table with the columns `COLUMNS`, and any others.
        path: Parquet file to write.
        checkpoint: Name of the checkpoint that the scores come from.
        heldout_methods: Manipulations held back from training, which `overall` leaves out.
    """
    table = pa.Table.from_pandas(predictions, preserve_index=False)
    metadata = {**(table.schema.metadata or {}), CHECKPOINT: checkpoint.encode()}
    metadata[HELDOUT] = json.dumps(list(heldout_methods)).encode()
    metadata[b"dfjax.version"] = dfjax.__version__.encode()
    with atomic_path(Path(path)) as temporary:
        pq.write_table(table.replace_schema_metadata(metadata), temporary)


def read_file(
    path: Path, form: TableForm | None = None, *, scores: bool = True
) -> TableFile | None:
    """Returns the table in a file; None for a JSON file that lists videos of DeepfakeBench.

    Args:
        path: File of a format that `read_predictions` reads.
        form: How a table of another program is to be read; None for the usual form.
        scores: Whether a column of scores is looked for.

    Raises:
        UsageError: The file is missing or has another format.
    """
    if path.suffix.lower() == ".json" and path.is_file():
        return deepfakebench_scores.read_json_table(path)
    if dfwb_scores.is_dfwb(path):
        return dfwb_scores.read_dfwb(path, CHECKPOINT)
    return read_table_file(path, KNOWN, TEXT, form, scores=scores)


def _check_labels_agree(predictions: pd.DataFrame) -> None:
    video, videos = number_videos(predictions)
    found = np.zeros((len(videos), 2), bool)
    found[video, predictions["label"]] = True
    both = videos[VIDEO][found.all(axis=1)]
    if len(both):
        raise UsageError(
            f"{len(both)} videos have both labels, first {'/'.join(both.iloc[0])}: make video_id "
            "unique, or name each video's dataset"
        )
