"""Defines the records of a pack, and the TFDS builder that writes crops as records.

TensorFlow Datasets is used without TensorFlow. A record stores the bytes of the JPEG (or PNG)
files, so that crops are not compressed a second time and a reader decodes only the crops that it
needs.
"""

import errno
import math
import os
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import tensorflow_datasets as tfds
from tensorflow_datasets.core import example_serializer

from dfjax.console import track
from dfjax.data.store.flow_files import has_flow, read_flow_bytes
from dfjax.errors import is_full_disk

FRAMES_PER_RECORD = 32
"""Largest number of crops per record. A longer video has several records, because a record can only
be read as a whole."""

RECORDS_PER_SHARD = 1024
"""Number of records per file, which has about half a gigabyte with crops of 256 pixels."""

FEATURES = {
    "video_id": tfds.features.Text(),
    "label": tfds.features.ClassLabel(names=["real", "fake"]),
    "method": tfds.features.Text(),
    "part": np.int32,  # number of the record within its video
    "frame_indices": tfds.features.Tensor(shape=(None,), dtype=np.int32),
    "frames": tfds.features.Sequence(tfds.features.Tensor(shape=(), dtype=np.object_)),
}
FLOW = tfds.features.Sequence(tfds.features.Tensor(shape=(), dtype=np.object_))
"""Feature `flow` of a record: the encoded flow from each frame (see `flow.py`), empty without."""


def count_records(n_frames: int) -> int:
    """Returns the number of consecutive records of a video with `n_frames` crops."""
    return math.ceil(n_frames / FRAMES_PER_RECORD)


def frame_paths(folder: Path, row: Any) -> list[Path]:
    """Returns the paths of the crops of a row of the index.

    Crops of `dfjax data extract` are stored below the folder of the index as `%06d.jpg`. For data
    sets that are published as crops, `frames_dir` is absolute and `frame_names` lists the files.

    Args:
        folder: Folder of the index file.
        row: Row of the index, as from `DataFrame.itertuples`.
    """
    names = getattr(row, "frame_names", None)
    if not isinstance(names, list):
        names = [f"{frame:06d}.jpg" for frame in row.frame_indices]
    return [folder / row.frames_dir / name for name in names]


class _Info(tfds.core.DatasetInfo):
    def initialize_from_bucket(self) -> None:
        """Does nothing. TFDS would leave an empty temporary folder behind for each pack."""


class _Serializer(example_serializer.ExampleSerializer):
    """Serialises a record to the same bytes in every process.

    The features of a `tf.train.Example` are a map, whose order is otherwise random per process.
    """

    def serialize_example(self, example: Any) -> bytes:
        """Returns the serialised `tf.train.Example`, with its features sorted by name."""
        return self.get_tf_example(example).SerializeToString(deterministic=True)


class FaceClips(tfds.core.GeneratorBasedBuilder, skip_registration=True):  # type: ignore[call-arg]
    """TFDS builder of face crops. The records of a video are consecutive, in the index's order."""

    VERSION = tfds.core.Version("1.0.0")
    # TFDS would search beside the code for checksums of downloads and a citation. There are none,
    # and the search needs importlib_resources, which TFDS does not declare as a requirement.
    code_path = None
    pkg_dir_path = Path(__file__).parent

    def __init__(self, *, table: pd.DataFrame, folder: Path, data_dir: Path) -> None:
        """Prepares the builder.

        Args:
            table: Index of the crops.
            folder: Folder of the index file.
            data_dir: Folder to write.
        """
        self._table, self._folder = table, folder
        self._flow = has_flow(table)
        super().__init__(data_dir=os.fspath(data_dir), file_format="array_record")

    def _info(self) -> tfds.core.DatasetInfo:
        return _Info(
            builder=self,
            description="Face crops, one group of consecutive records per video.",
            features=tfds.features.FeaturesDict(FEATURES | ({"flow": FLOW} if self._flow else {})),
            disable_shuffling=True,  # records are read by number, `pack_row` of the index
        )

    def _split_generators(self, dl_manager: Any) -> Mapping[str, Iterator[Any]]:
        del dl_manager  # nothing is downloaded
        return {
            str(split): self._generate_examples(videos)
            for split, videos in self._table.groupby("split", sort=True)
        }

    def _generate_examples(self, videos: pd.DataFrame) -> Iterator[tuple[int, dict[str, Any]]]:
        what = f"packing {videos['split'].iloc[0]}"
        rows = track(videos.itertuples(), total=len(videos), what=what)
        yield from enumerate(record for row in rows for record in self._records(row))

    def _records(self, row: Any) -> Iterator[dict[str, Any]]:
        files = frame_paths(self._folder, row)
        for part in range(count_records(len(files))):
            within = slice(part * FRAMES_PER_RECORD, (part + 1) * FRAMES_PER_RECORD)
            record = {
                "video_id": row.video_id,
                "label": int(row.label),
                "method": row.method,
                "part": part,
                "frame_indices": np.asarray(row.frame_indices[within], np.int32),
                "frames": [path.read_bytes() for path in files[within]],
            }
            if self._flow:
                record["flow"] = read_flow_bytes(self._folder, row, row.frame_indices[within])
            yield record


def write_records(table: pd.DataFrame, folder: Path, out: Path) -> None:
    """Writes the records of all videos and their TFDS metadata to `out`.

    Args:
        table: Index whose `frame_indices` name only crops that exist.
        folder: Folder of the index file.
        out: Existing folder, which gets the files themselves instead of TFDS's NAME/VERSION.

    Raises:
        OSError: The disk is full.
    """
    levels = out / ".tfds"
    builder = FaceClips(table=table, folder=folder, data_dir=levels)
    written = Path(builder.data_dir)
    written.mkdir(parents=True)
    # `download_and_prepare()` would hold each split in memory to sort it, and above 1 GB would sort
    # on disk, which needs TensorFlow. These records are in order already and are streamed.
    writer = tfds.core.SequentialWriter(builder.info, RECORDS_PER_SHARD, file_format="array_record")
    writer._serializer = _Serializer(builder.info.features.get_serialized_info())
    try:
        for split, examples in builder._split_generators(None).items():
            writer.initialize_splits([split])
            writer.add_examples({split: (record for _, record in examples)})
            writer.close_splits([split])
    except RuntimeError as error:  # the only exception that ArrayRecord raises
        if is_full_disk(error):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(out)) from error
        raise
    for file in written.iterdir():
        file.rename(out / file.name)
    shutil.rmtree(levels)
