"""Defines the records of a pack, and the TFDS builder that writes crops as records.

TensorFlow Datasets is used without TensorFlow. A record stores the bytes of the JPEG (or PNG)
files, so that crops are not compressed a second time and a reader decodes only the crops that it
needs.
"""

import errno
import functools
import math
import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import tensorflow_datasets as tfds
from array_record.python.array_record_module import ArrayRecordWriter
from tensorflow_datasets.core import example_serializer, naming

from dfjax.console import track
from dfjax.data.each_row import Row, RunEach, Task, describe_reasons
from dfjax.data.store.flow_files import has_flow, read_flow_bytes
from dfjax.data.store.mask_files import has_masks, read_mask_bytes
from dfjax.errors import RunError, is_full_disk

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
PICTURES = tfds.features.Sequence(tfds.features.Tensor(shape=(), dtype=np.object_))
"""Further features of a record, with one encoded picture per frame, empty without: `flow`, that
from each frame (see `flow.py`), and `region`, its manipulation mask (see `mask_files.py`)."""


NEEDED = (
    *("video_id", "label", "method", "frames_dir", "frame_indices", "frame_names"),
    *("flow_dir", "flow_indices", "mask_dir", "mask_indices"),
)
"""Columns of the index that the records of a video are made of."""


def find_pictures(table: pd.DataFrame) -> list[str]:
    """Returns the names of the further features (see `PICTURES`) of the records of an index."""
    return [name for name, has in (("flow", has_flow), ("region", has_masks)) if has(table)]


def find_features(pictures: Sequence[str]) -> dict[str, Any]:
    """Returns the features of records, with further ones (see `PICTURES`) given by name."""
    return FEATURES | dict.fromkeys(pictures, PICTURES)


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
        self._pictures = find_pictures(table)
        super().__init__(data_dir=os.fspath(data_dir), file_format="array_record")

    def _info(self) -> tfds.core.DatasetInfo:
        return _Info(
            builder=self,
            description="Face crops, one group of consecutive records per video.",
            features=tfds.features.FeaturesDict(find_features(self._pictures)),
            disable_shuffling=True,  # records are read by number, `pack_row` of the index
        )

    def _split_generators(self, dl_manager: Any) -> Mapping[str, Iterator[Any]]:
        del dl_manager  # nothing is downloaded
        return {
            str(split): self._generate_examples(videos)
            for split, videos in self._table.groupby("split", sort=True)
        }

    def _generate_examples(self, videos: pd.DataFrame) -> Iterator[tuple[int, dict[str, Any]]]:
        rows = videos.itertuples()
        yield from enumerate(
            make_record(self._folder, row, part, self._pictures)
            for row in rows
            for part in range(count_records(len(row.frame_indices)))
        )


def make_record(folder: Path, row: Any, part: int, pictures: Sequence[str]) -> dict[str, Any]:
    """Returns record number `part` of a video.

    Args:
        folder: Folder of the index file.
        row: Row of the index.
        part: Number of the record within the video.
        pictures: Names of the further features of records.
    """
    within = slice(part * FRAMES_PER_RECORD, (part + 1) * FRAMES_PER_RECORD)
    record = {
        "video_id": row.video_id,
        "label": int(row.label),
        "method": row.method,
        "part": part,
        "frame_indices": np.asarray(row.frame_indices[within], np.int32),
        "frames": [path.read_bytes() for path in frame_paths(folder, row)[within]],
    }
    if "flow" in pictures:
        record["flow"] = read_flow_bytes(folder, row, row.frame_indices[within])
    if "region" in pictures:
        record["region"] = read_mask_bytes(folder, row, row.frame_indices[within])
    return record


def write_records(table: pd.DataFrame, folder: Path, out: Path, run: RunEach | None = None) -> None:
    """Writes the records of all videos and their TFDS metadata to `out`.

    `download_and_prepare()` of TFDS would hold each split in memory to sort it, and above 1 GB
    would sort on disk, which needs TensorFlow. These records are in order already.

    Args:
        table: Index whose `frame_indices` name only crops that exist.
        folder: Folder of the index file.
        out: Existing folder, which gets the files themselves instead of TFDS's NAME/VERSION.
        run: Function that calls another one for each shard; None for one shard after another.

    Raises:
        OSError: The disk is full.
        RunError: A shard could not be written.
    """
    levels = out / ".tfds"
    builder = FaceClips(table=table, folder=folder, data_dir=levels)
    written = Path(builder.data_dir).absolute()
    written.mkdir(parents=True)
    templates = {str(split): _make_template(builder, str(split)) for split in set(table["split"])}
    tasks = [
        {"video_id": templates[split].sharded_filepath(shard_index=number, num_shards=None).name}
        | {"split": split, "parts": parts}
        for split in sorted(templates)
        for number, parts in enumerate(plan_shards(table[table["split"] == split]))
    ]
    write = functools.partial(
        write_shard, str(folder.absolute()), str(written), find_pictures(table)
    )
    if run is None:
        total = sum(len(task["parts"]) for task in tasks)
        parts = iter(track(range(total), total=total, what="packing"))
        results = [write(task, lambda: next(parts, None)) for task in tasks]
        next(parts, None)  # ends the display
    else:
        results = run("write", write, tasks, chunk=1)
    for task, result in zip(tasks, results):
        for line in describe_reasons(result):
            raise RunError(f"{task['video_id']} could not be written: {line}")
    _write_info(builder, templates, tasks, results)
    for file in written.iterdir():
        file.rename(out / file.name)
    shutil.rmtree(levels)


def _make_template(builder: FaceClips, split: str) -> Any:
    return naming.ShardedFileTemplate(
        dataset_name=builder.name,
        data_dir=builder.data_dir,
        split=split,
        filetype_suffix="array_record",
        template="{DATASET}-{SPLIT}.{FILEFORMAT}-{SHARD_INDEX}",
    )


def _write_info(
    builder: FaceClips,
    templates: Mapping[str, Any],
    tasks: Sequence[Task],
    results: Sequence[Task],
) -> None:
    """Writes `features.json` and `dataset_info.json`."""
    infos = []
    for split in sorted(templates):
        shards = [(t, r) for t, r in zip(tasks, results) if t["split"] == split]
        infos.append(
            tfds.core.SplitInfo(
                name=split,
                shard_lengths=[len(task["parts"]) for task, _ in shards],
                num_bytes=sum(result["bytes"] for _, result in shards),
                filename_template=templates[split],
            )
        )
    builder.info.set_splits(tfds.core.splits.SplitDict(infos))
    builder.info.write_to_directory(builder.data_dir)


def plan_shards(videos: pd.DataFrame) -> list[list[tuple[Task, int]]]:
    """Returns the records of each shard, as the columns of the video and the number in the video.

    Args:
        videos: Rows of one split.
    """
    rows: Iterator[Task]
    rows = ({name: getattr(row, name, None) for name in NEEDED} for row in videos.itertuples())
    parts = [(row, n) for row in rows for n in range(count_records(len(row["frame_indices"])))]
    return [parts[i : i + RECORDS_PER_SHARD] for i in range(0, len(parts), RECORDS_PER_SHARD)]


def write_shard(
    folder: str,
    out: str,
    pictures: Sequence[str],
    task: Task,
    advance: Callable[[], Any] = lambda: None,
) -> Task:
    """Writes one file of records and returns the size of the records in `bytes`.

    Args:
        folder: Folder of the index file.
        out: Folder of the shard.
        pictures: Names of the further features of records.
        task: Name of the file (`video_id`), and its records (`parts`, see `plan_shards`).
        advance: Function that is called after each record.

    Raises:
        OSError: The disk is full.
    """
    features = tfds.features.FeaturesDict(find_features(pictures))
    serializer, size = _Serializer(features.get_serialized_info()), 0
    path = os.path.join(out, task["video_id"])
    try:
        writer = ArrayRecordWriter(path, "group_size:1")
        for row, part in task["parts"]:
            record = make_record(Path(folder), Row(row), part, pictures)
            example = serializer.serialize_example(features.encode_example(record))
            writer.write(example)
            size += len(example)
            advance()
        writer.close()
    except RuntimeError as error:  # the only exception that ArrayRecord raises
        if is_full_disk(error):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), out) from error
        raise
    return {"bytes": size, "reasons": []}
