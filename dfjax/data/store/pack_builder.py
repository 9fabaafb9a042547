"""The TFDS builder behind a pack: what a record holds, and how crops become records.

Written through TensorFlow Datasets but without TensorFlow: frames are kept as the encoded JPEG
(or PNG) bytes that are there, so nothing is compressed twice and a reader decodes only the frames
that it needs.
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

from dfjax.console import track
from dfjax.data.store.flow_files import has_flow, read_flow_bytes

FRAMES_PER_RECORD = 32
"""A record is read whole, so that a long video takes several."""

RECORDS_PER_SHARD = 1024
"""Files of about half a gigabyte at 256 px."""

FEATURES = {
    "video_id": tfds.features.Text(),
    "label": tfds.features.ClassLabel(names=["real", "fake"]),
    "method": tfds.features.Text(),
    "part": np.int32,  # number of the record within its video
    "frame_indices": tfds.features.Tensor(shape=(None,), dtype=np.int32),
    "frames": tfds.features.Sequence(tfds.features.Tensor(shape=(), dtype=np.object_)),
}
FLOW = tfds.features.Sequence(tfds.features.Tensor(shape=(), dtype=np.object_))
"""`flow` of a record: per frame the flow that starts there (see `flow.py`), or no bytes."""


def count_records(n_frames: int) -> int:
    """Returns how many consecutive records a video of `n_frames` crops takes."""
    return math.ceil(n_frames / FRAMES_PER_RECORD)


def frame_paths(folder: Path, row: Any) -> list[Path]:
    """Returns the crop files of a row of the index; `folder` is where the index file lies.

    Crops that dfjax cut lie below that folder as `%06d.jpg`. Those of data sets that come as crops
    stay where they are: their `frames_dir` is absolute and `frame_names` lists the files.
    """
    names = getattr(row, "frame_names", None)
    if not isinstance(names, list):
        names = [f"{frame:06d}.jpg" for frame in row.frame_indices]
    return [folder / row.frames_dir / name for name in names]


class FaceClips(tfds.core.GeneratorBasedBuilder, skip_registration=True):  # type: ignore[call-arg]
    """Face crops of videos; records of one video are consecutive, videos in index order."""

    VERSION = tfds.core.Version("1.0.0")
    # TFDS looks beside the code for checksums of downloads and for a citation: there are none, and
    # its search for them needs importlib_resources, which it does not declare.
    code_path = None
    pkg_dir_path = Path(__file__).parent

    def __init__(self, *, table: pd.DataFrame, folder: Path, data_dir: Path) -> None:
        """Prepares to write the videos of `table`, whose frames lie under `folder`."""
        self._table, self._folder = table, folder
        self._flow = has_flow(table)
        super().__init__(data_dir=os.fspath(data_dir), file_format="array_record")

    def _info(self) -> tfds.core.DatasetInfo:
        return tfds.core.DatasetInfo(
            builder=self,
            description="Face crops, one group of consecutive records per video.",
            features=tfds.features.FeaturesDict(FEATURES | ({"flow": FLOW} if self._flow else {})),
            disable_shuffling=True,  # rows are found by number: `pack_row` of the index
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
    """Writes the records of all videos, and TFDS's description of them, straight into `out`.

    Args:
        table: an index whose `frame_indices` name only frames that exist.
        folder: what `frames_dir` is relative to.
        out: an existing folder; TFDS's own NAME/VERSION levels are flattened away.

    Raises:
        OSError: the disk is full.
    """
    levels = out / ".tfds"
    builder = FaceClips(table=table, folder=folder, data_dir=levels)
    written = Path(builder.data_dir)
    written.mkdir(parents=True)
    # Not `download_and_prepare()`: that holds a split in memory to sort it, and beyond 1 GB sorts
    # on disk, which does need TensorFlow. Ours is in order already and is streamed.
    writer = tfds.core.SequentialWriter(builder.info, RECORDS_PER_SHARD, file_format="array_record")
    try:
        for split, examples in builder._split_generators(None).items():
            writer.initialize_splits([split])
            writer.add_examples({split: (record for _, record in examples)})
            writer.close_splits([split])
    except RuntimeError as error:  # ArrayRecord's only kind of error
        if os.strerror(errno.ENOSPC) in str(error):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(out)) from error
        raise
    for file in written.iterdir():
        file.rename(out / file.name)
    shutil.rmtree(levels)
