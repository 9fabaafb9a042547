"""All videos of an index into face crops: in parallel, resumable video by video."""

import dataclasses
import functools
import hashlib
import json
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from dfjax.data.faces.detectors import DETECTORS, check_alignable, make_detector
from dfjax.data.faces.detectors.precomputed import Precomputed
from dfjax.data.faces.extract import (
    FACES,
    Fields,
    Settings,
    crops_folder,
    extract_record,
    load_finished,
)
from dfjax.data.faces.quality import QUALITIES
from dfjax.data.faces.worker_pool import Outcome
from dfjax.data.index.source import SOURCE
from dfjax.errors import UsageError, unknown
from dfjax.files import atomic_path

SETTINGS_FILE = "extraction.json"
INFORMED = ("score", "frontal")  # qualities that need more than a box
TASK_COLUMNS = ("video_id", "sha256", "mask_path", *SOURCE)

RunTasks = Callable[[Callable[[Any], Any], Sequence[Any]], Iterator[Outcome]]
"""`run(function, tasks)`: calls the function for each task somewhere, see `worker_pool`."""


class Extraction(NamedTuple):
    """What became of row number `position`: columns of its rows, or why there are none."""

    position: int
    rows: list[Fields] | None
    error: str | None
    reused: bool  # it was there already


def check_settings(settings: Settings) -> None:
    """Raises a `UsageError` for settings that no video can be extracted with."""
    if settings.detector == "precomputed":
        Precomputed(settings.detector_model)
    elif settings.detector not in DETECTORS:
        raise unknown("face detector", settings.detector, (*DETECTORS, "precomputed"))
    else:
        make_detector(settings.detector, settings.detector_model)
    if settings.faces not in FACES:
        raise unknown("choice of --faces", settings.faces, FACES)
    names = [name for name, _ in settings.min_quality]
    for name in names:
        if name not in QUALITIES:
            raise unknown("quality", name, QUALITIES)
    needy = [*(["--align"] if settings.align else []), *(n for n in names if n in INFORMED)]
    if needy and settings.detector != "precomputed":
        check_alignable(settings.detector, needy[0])


def check_ids(index: pd.DataFrame, out: Path, settings: Settings) -> None:
    """Raises a `UsageError` for ids that cannot name a folder, or collide with those of faces."""
    for video_id in index["video_id"]:
        crops_folder(out, video_id)
        if settings.faces == "all" and re.search(r"#\d+$", video_id):
            raise UsageError(f"video_id {video_id!r} ends like a face's; --faces all numbers them")


def open_output(out: Path, settings: Settings) -> None:
    """Makes `out` the folder of these settings, written to `extraction.json`.

    Raises:
        UsageError: it already holds crops made with other settings; the message lists them.
    """
    model = settings.detector_model
    wanted = json.loads(json.dumps(dataclasses.asdict(settings)))
    wanted["detector_model"] = _digest(model) if model else None
    file = out / SETTINGS_FILE
    if file.is_file():
        used = json.loads(file.read_text())
        changed = [f"{k}: {used.get(k)} -> {v}" for k, v in wanted.items() if used.get(k) != v]
        if changed:
            raise UsageError(
                f"{out} holds crops made with other settings ({'; '.join(changed)}); "
                "choose another --out, or delete it"
            )
    with atomic_path(file) as partial:
        partial.write_text(json.dumps(wanted, indent=2))


def extract_index(
    index: pd.DataFrame, out: Path, settings: Settings, run: RunTasks
) -> Iterator[Extraction]:
    """Yields, per row of the index, the extracted columns or the reason why there are none.

    Videos that `out` holds already are not extracted again: they come first.

    Args:
        index: rows with `root` and `path`.
        out: an extraction folder, see `open_output`.
        settings: what to extract.
        run: `run_tasks` or `run_on_beam` with their options; the result does not depend on it.
    """
    rows = index[index.columns.intersection(TASK_COLUMNS)].astype(object)
    tasks = rows.where(rows.notna(), None).to_dict("records")
    todo = []
    for position, task in enumerate(tasks):
        fields = load_finished(out, task["video_id"], task["sha256"])
        if fields is None:
            todo.append(position)
        else:
            yield Extraction(position, fields, None, True)
    work = _estimate_work(index)
    todo.sort(key=lambda position: -work[position])  # the longest last would leave workers idle
    function = functools.partial(extract_record, str(out), settings)
    for position, value, error in run(function, [tasks[position] for position in todo]):
        yield Extraction(todo[position], value, error, False)


def _estimate_work(index: pd.DataFrame) -> list[float]:
    """Pixels to decode of each video, 0 where the index was not probed."""
    columns = index[["n_frames", "width", "height"]].astype(float)
    return columns.prod(axis=1, skipna=False).fillna(0.0).tolist()


def merge(index: pd.DataFrame, results: dict[int, list[Fields]]) -> pd.DataFrame:
    """Returns the rows that were extracted, in the order of the index, with their new columns.

    A video of which several faces were kept has as many rows.
    """
    index = index.drop(columns="frame_names", errors="ignore")  # those of crops that were there
    rows = index.astype(object).to_dict("records")
    return pd.DataFrame(
        [rows[position] | fields for position in sorted(results) for fields in results[position]]
    )


def _digest(path: str) -> str:
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()
