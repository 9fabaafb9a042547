"""Extracts the face crops of all videos of an index, in parallel and resumable by video."""

import dataclasses
import functools
import os
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from dfjax import FAKE
from dfjax.console import track
from dfjax.data.beam_pipeline import Beam, Stage, in_process, make_beam, run_on_beam
from dfjax.data.faces.detectors import hash_detector
from dfjax.data.faces.extract import Fields, crops_folder, extract_record, load_finished
from dfjax.data.faces.extract_report import ExtractReport
from dfjax.data.faces.mask_crops import MASK_ERROR
from dfjax.data.faces.recipe import make_metadata
from dfjax.data.faces.settings import ExtractionSettings, check_settings
from dfjax.data.faces.worker_pool import Outcome, check_limits, run_tasks
from dfjax.data.index.error_log import ErrorLog
from dfjax.data.index.frame_paths import BESIDE_CROPS
from dfjax.data.index.records import find_index, read_index, write_index
from dfjax.data.index.source import SOURCE, list_paths
from dfjax.errors import RunError, UsageError
from dfjax.files import record_settings
from dfjax.outputs import check_folder, check_outputs

SETTINGS_FILE = "extraction.json"
FILES = r"[0-9]{6,}\.jpg|faces\.json"  # in the folder of a video
SHOWN = 10  # fakes without masks that a note names
TASK_COLUMNS = ("video_id", "sha256", "mask_path", *SOURCE)

RunTasks = Callable[[Callable[[Any], Any], Sequence[Any]], Iterator[Outcome]]
"""`run(function, tasks)` calls the function for each task in another process (`worker_pool`)."""


class _Extraction(NamedTuple):
    """Result for row number `position`: columns of its new rows, or an error."""

    position: int
    rows: list[Fields] | None
    error: str | None
    reused: bool  # whether an earlier call had extracted it


def extract_index(
    index: str | os.PathLike[str],
    out: str | os.PathLike[str],
    settings: ExtractionSettings,
    *,
    workers: int | None = None,
    time_limit: float = 600.0,
    beam_runner: str | None = None,
    beam_options: str = "",
    command: str = "dfjax data extract",
) -> ExtractReport:
    """Extracts the faces of all videos of an index to a folder.

    `out` gets `crops/VIDEO_ID/%06d.jpg`, on request `masks/VIDEO_ID/%06d.png`, `index.parquet`,
    `errors.jsonl` with the videos and masks that cannot be read, and `extraction.json`. A repeated
    call extracts what `out` does not hold yet, and videos that had an error, also of their mask.

    Args:
        index: Index of videos.
        out: Folder to write.
        settings: Settings of the extraction.
        workers: Number of processes; None is the number of cores.
        time_limit: Seconds per video, after which it counts as unreadable.
        beam_runner: Runner of Apache Beam, which replaces processes of this machine.
        beam_options: Options of that runner, as on a command line.
        command: Command to record in the metadata of the index.

    Raises:
        UsageError: The settings are invalid or differ from those that `out` was made with, an id
            cannot name a folder, or no video can be read.
        RunError: `out` was removed in the meantime.
    """
    source, out = Path(index), Path(out)
    check_settings(settings)  # before any worker is started
    workers, beam = check_limits(workers, time_limit), make_beam(out, beam_runner, beam_options)
    table = read_index(source)
    check_outputs([out / "index.parquet", out / "errors.jsonl"], inputs=[find_index(source)])
    check_folder(out / "crops", inputs=list_paths(table), owner=out / SETTINGS_FILE)
    if settings.masks:
        _check_mask_folder(table, out)
    check_ids(table, out, settings)
    notes = []
    if settings.faces == "mask" and ("mask_path" not in table or table["mask_path"].isna().all()):
        notes.append("the index names no masks, so faces=mask selects the same faces as faces=best")
    open_output(out, settings)
    log = ErrorLog(out / "errors.jsonl")
    run = _make_runner(beam, workers, time_limit)
    results, reused = _collect(_extract_rows(table, out, settings, run), table, log)
    if not results:
        raise UsageError(
            f"none of the {len(table)} videos or images can be read{log.describe()}; see {log.path}"
        )
    extracted, target = _join_rows(table, results), out / "index.parquet"
    metadata = make_metadata(settings.to_recipe())
    write_index(extracted, target, command=command, metadata=metadata)
    if not (out / SETTINGS_FILE).is_file():
        raise RunError(f"{out} was removed while it was written: run the same command again")
    notes += [_count_masks(extracted)] if settings.masks else []
    left_out = len(table) - len(results)
    return _report(extracted, target, settings.detector, reused, left_out, log, notes)


def _report(
    index: pd.DataFrame,
    path: Path,
    detector: str,
    reused: int,
    left_out: int,
    log: ErrorLog,
    notes: list[str],
) -> ExtractReport:
    found = [flag for flags in index["face_found"] for flag in flags]
    return ExtractReport(
        index=path,
        detector=detector,
        videos=len(index),
        reused=reused,
        crops=len(found),
        faces_found=sum(found),
        videos_without_face=[row.video_id for row in index.itertuples() if not any(row.face_found)],
        unreadable=left_out,
        errors=log.path,
        notes=notes,
        unreadable_masks=log.count - left_out,
    )


def _check_mask_folder(index: pd.DataFrame, out: Path) -> None:
    """Checks that the folder of the masks may be filled."""
    named = list_paths(index.assign(path=index["mask_path"])) if "mask_path" in index else []
    check_folder(out / "masks", inputs=named, owner=out / SETTINGS_FILE)


def _count_masks(index: pd.DataFrame) -> str:
    """Returns a sentence that counts the fakes with masks and names some without."""
    fakes = index[index["label"] == FAKE]
    lists = fakes["mask_indices"] if "mask_indices" in fakes else [None] * len(fakes)
    bare = fakes[[not (isinstance(numbers, list) and numbers) for numbers in lists]]
    sentence = f"{len(fakes) - len(bare)} of {len(fakes)} fakes have masks"
    some = ", ".join(bare["video_id"][:SHOWN])
    return f"{sentence}; without: {some}{', …' if len(bare) > SHOWN else ''}" if some else sentence


def check_ids(index: pd.DataFrame, out: Path, settings: ExtractionSettings) -> None:
    """Checks that the ids of an index name different folders, which no face or file needs.

    Args:
        index: Index of videos.
        out: Folder of the extraction.
        settings: Settings of the extraction.

    Raises:
        UsageError: An id leads outside of `out`, or names what another video or a face needs.
    """
    remedy = "make the index again, which renames it"
    seen: dict[Path, str] = {}
    for video_id in index["video_id"]:
        other = seen.setdefault(crops_folder(out, video_id), video_id)
        if other != video_id:
            raise UsageError(f"video_ids {other!r} and {video_id!r} name the same folder")
        if any(re.fullmatch(FILES, part) for part in video_id.split("/")):
            raise UsageError(f"video_id {video_id!r} names a file of another video; {remedy}")
        if settings.faces == "all" and re.search(r"#\d+(/|$)", video_id):
            raise UsageError(
                f"video_id {video_id!r} ends in a number like those that faces=all adds to the ids "
                f"of further faces; {remedy}"
            )


def open_output(out: Path, settings: ExtractionSettings) -> None:
    """Writes the settings to `extraction.json` in `out`, or checks that they are the same.

    Args:
        out: Folder of the extraction.
        settings: Settings of the extraction.

    Raises:
        UsageError: `out` holds crops made with other settings; the message lists the differences.
    """
    values = dataclasses.asdict(settings)
    if settings.detector != "haar":  # whose hash earlier versions did not store
        digest = hash_detector(settings.detector, settings.detector_model)
        values["detector_model"] = digest
    defaults = dataclasses.asdict(ExtractionSettings())
    record_settings(out / SETTINGS_FILE, values, content="crops", defaults=defaults)


def _make_runner(beam: Beam | None, workers: int, time_limit: float) -> RunTasks:
    if beam is None:
        return functools.partial(run_tasks, workers=workers, time_limit=time_limit)
    beam.clear()

    def run(function: Callable[[Any], Any], tasks: Sequence[Any]) -> Iterator[Outcome]:
        stage = Stage("extract", in_process(function, time_limit))
        return run_on_beam(beam, [stage], tasks, [task["video_id"] for task in tasks])

    return run


def _extract_rows(
    index: pd.DataFrame, out: Path, settings: ExtractionSettings, run: RunTasks
) -> Iterator[_Extraction]:
    """Yields the result of each row of the index; videos that `out` already holds come first."""
    rows = index[index.columns.intersection(TASK_COLUMNS)].astype(object)
    tasks = rows.where(rows.notna(), None).to_dict("records")
    todo = []
    for position, task in enumerate(tasks):
        masked = settings.masks and bool(task.get("mask_path"))
        fields = load_finished(out, task["video_id"], task["sha256"], masked=masked)
        if fields is None:
            todo.append(position)
        else:
            yield _Extraction(position, fields, None, True)
    work = _estimate_work(index)
    todo.sort(key=lambda position: -work[position])  # longest first, so that no worker idles
    function = functools.partial(extract_record, str(out.absolute()), settings)
    for position, value, error in run(function, [tasks[position] for position in todo]):
        yield _Extraction(todo[position], value, error, False)


def _estimate_work(index: pd.DataFrame) -> list[float]:
    """Returns the number of pixels to decode of each video, 0 if the index was not probed."""
    columns = index[["n_frames", "width", "height"]].astype(float)
    return columns.prod(axis=1, skipna=False).fillna(0.0).tolist()


def _join_rows(index: pd.DataFrame, results: dict[int, list[Fields]]) -> pd.DataFrame:
    """Returns the extracted rows with their new columns, in the order of the index.

    A video with several faces has one row per face.
    """
    old = ("frame_names", *BESIDE_CROPS)  # of the source's frames, and of earlier crops
    index = index.drop(columns=list(old), errors="ignore")
    rows = index.astype(object).to_dict("records")
    return pd.DataFrame(
        [rows[position] | fields for position in sorted(results) for fields in results[position]]
    )


def _collect(
    extractions: Iterable[_Extraction], index: pd.DataFrame, log: ErrorLog
) -> tuple[dict[int, list[Fields]], int]:
    """Returns the new columns by row, and the number of rows that an earlier call had extracted."""
    results, reused = {}, 0
    for position, rows, error, again in track(extractions, total=len(index), what="videos"):
        stage = "extract"
        if rows is not None:
            results[position] = rows
            reused += again
            stage, error = "mask", rows[0].pop(MASK_ERROR, None)
        if error is not None:
            row = index.iloc[position]
            path = row["path"] if isinstance(row["path"], str) else ""
            log.add(video_id=row["video_id"], path=path, stage=stage, error=error)
    return results, reused
