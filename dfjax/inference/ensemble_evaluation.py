"""Evaluation of detectors on one split: scores, metrics and result files."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from dfjax import processes
from dfjax.console import say, track
from dfjax.data.faces.recipe import list_differences, read_crop_recipe
from dfjax.data.index.error_log import read_errors
from dfjax.data.index.records import find_index
from dfjax.data.store.frame_store import FrameStore
from dfjax.errors import UsageError
from dfjax.evaluation.conventions.benchmark_protocol import Numbers
from dfjax.evaluation.figures.plots import plot_curves, read_history
from dfjax.evaluation.figures.sheets import SHOWN_FRAMES, Tile, choose_examples, draw_sheet
from dfjax.evaluation.flags import Flag, make_flag
from dfjax.evaluation.report.metrics_json import RESULT_FILES, Context, make_metrics
from dfjax.evaluation.report.result_files import write_results
from dfjax.evaluation.report.view import Report
from dfjax.evaluation.scoring.score_table import tabulate
from dfjax.evaluation.videos.aggregation import aggregate, clean
from dfjax.experiment import builders, run_data
from dfjax.experiment.data_check import list_accepted_links, read_accepted
from dfjax.experiment.run import HISTORY
from dfjax.inference.detector import Detector
from dfjax.inference.ensemble import Ensemble
from dfjax.inference.evaluation_data import find_crops, open_index, open_run_data
from dfjax.inference.judgement import Judge
from dfjax.inference.measured_clips import MeasuredClips
from dfjax.inference.provenance import (
    TracedRun,
    find_train_index,
    is_trained_on,
    list_held_back,
    open_data,
)
from dfjax.outputs import check_outputs
from dfjax.shapes import HostBatch

Watch = Callable[[Iterable[HostBatch]], Iterator[HostBatch]]

EXAMPLES = 24
"""Number of videos in the contact sheet."""


def evaluate_ensemble(
    ensemble: Ensemble,
    *,
    split: str,
    index: Path | None,
    out: Path,
    numbers: Numbers | None = None,
    judge: Judge | None = None,
) -> Report:
    """Evaluates an ensemble, writes the results to a folder and returns them.

    Args:
        ensemble: Detectors to evaluate.
        split: Split whose videos are evaluated.
        index: Index or pack of the data; None for the data of the first member's run.
        out: Folder for the results.
        numbers: Protocol of the numbers; None for the strict one.
        judge: Calibration that is applied, or None.

    Raises:
        UsageError: The data do not exist, the split has no videos, or several processes would apply
            a calibration.
    """
    detector, config = ensemble.members[0], ensemble.config
    if judge and processes.count() > 1:
        raise UsageError(
            "an evaluation with a calibration is not divided over processes: start one process, or "
            "do without the calibration (calibrated=False)"
        )
    workdir = detector.workdir
    check_outputs((out / name for name in RESULT_FILES), inputs=[] if index is None else [index])
    training: FrameStore | None
    if index is None:
        with processes.first_alone():
            training = data = open_run_data(config, workdir, detector.data_sha256)
    else:
        with processes.first_alone():  # which packs crops that are not packed
            data = open_index(index, out)
            sha256, run = detector.data_sha256, TracedRun(workdir, config)
            own_data = is_trained_on(sha256, config, data)
            training = data if own_data else open_data(run, sha256)
    ensemble.check_data(data)
    measured = MeasuredClips()
    watch = measured.watch if judge else None
    predictions = score_split(ensemble, data, split, own=index is None, watch=watch)
    few = _flag_few_faces(predictions, config.eval.min_face_share)
    context = replace(
        _make_context(ensemble, data, training, split, few), numbers=numbers or Numbers()
    )
    if judge:
        predictions, guarantee = judge.judge_table(predictions, measured.tabulate(data.index))
        context = replace(context, guarantee=guarantee)
    result = make_metrics(predictions, context)
    if processes.is_first():
        title = make_title(config.name, split, predictions["dataset"])
        write_results(out, predictions, result, context, title)
        _draw(predictions, data, context, workdir, out, title)
    processes.wait_for_all()
    return Report(result, predictions, out)


def _draw(
    predictions: pd.DataFrame,
    data: FrameStore,
    context: Context,
    workdir: Path,
    out: Path,
    title: str,
) -> None:
    """Writes the sheet of clips, and the curves of the run."""
    crops = find_crops(data)
    if crops is None:
        say(f"no sheet.png is written: the crops that {data.path} was computed from are missing")
    else:
        write_sheet(predictions, crops, out / "sheet.png", title)
    if context.history is not None and len(context.history):
        plot_curves(workdir / HISTORY, out / "curves.png")


def score_split(
    ensemble: Ensemble,
    data: FrameStore,
    split: str,
    *,
    own: bool,
    watch: Watch | None = None,
) -> pd.DataFrame:
    """Returns the predictions of an ensemble for the videos of a split.

    Several processes divide the clips of every batch.

    Args:
        ensemble: Detectors that score.
        data: Data to score.
        split: Split of the data.
        own: Whether these are the data of the first member's run.
        watch: Function that every batch passes through, in a run of one process, or None.

    Raises:
        UsageError: The split has no videos.
    """
    config = ensemble.config
    rows = find_rows(data, ensemble.members[0], split, own=own)
    if ensemble.fusion:
        ensemble.fusion.check_unseen(data.index.iloc[rows])
    size, places = 0, None
    if processes.count() > 1:
        ensemble, size, places = ensemble.divide(config.eval.batch_size)
    read = run_data.eval_batches(data, config, rows, batch_size=size, places=places)
    batches = track(read, total=None, what="scoring")
    predictions = tabulate(
        ensemble.score(watch(batches) if watch else batches),
        data.index,
        split=split,
        unit=builders.score_unit(config),
        face_shares=_has_searched_faces(data),
    )
    return ensemble.fuse_videos(predictions)


def _make_context(
    ensemble: Ensemble,
    data: FrameStore,
    training: FrameStore | None,
    split: str,
    few_faces: list[Flag],
) -> Context:
    members = [TracedRun(member.workdir, member.config) for member in ensemble.members]
    train_index = find_train_index(members, training)
    workdir = ensemble.members[0].workdir
    history = workdir / HISTORY
    return Context(
        heldout_methods=list_held_back(members, train_index),
        index=data.index,
        train_index=train_index,
        history=read_history(history) if history.exists() else None,
        checkpoint=ensemble.checkpoint,
        split=split,
        unreadable=count_unreadable(data),
        flags=[*_read_accepted(ensemble), *_compare_crops(ensemble, data), *few_faces],
        accepted=list_accepted_links(workdir, training.index) if training else {},
        files=_list_files(ensemble, data),
    )


def _list_files(ensemble: Ensemble, data: FrameStore) -> dict[str, Path]:
    """Returns the files that the scores depend on, by the names in the record of inputs."""
    files = {"index": find_index(data.path)}
    for number, member in enumerate(ensemble.members, 1):
        suffix = f" {number}" if number > 1 else ""
        files[f"config{suffix}"] = member.workdir / "config.json"
        step = member.workdir / "checkpoints" / member.checkpoint / "variables"
        exported = member.workdir.with_name(f"{member.workdir.name}.safetensors")
        files[f"checkpoint{suffix}"] = step if step.is_dir() else exported
    return {name: path for name, path in files.items() if path.exists()}


def count_unreadable(data: FrameStore) -> int:
    """Returns the number of videos that are missing from the data because of errors."""
    listed = {entry["video_id"] for entry in read_errors(data.path)}
    return len(listed - set(data.index["video_id"]))


def make_title(name: str, split: str, datasets: Iterable[str]) -> str:
    """Returns the title of the figures: the name, the split and the names of the data sets."""
    found = sorted(set(datasets))
    return f"{name} · {split} · {', '.join(found)} data"


def write_sheet(predictions: pd.DataFrame, data: FrameStore, path: Path, title: str) -> None:
    """Writes a contact sheet of videos of both classes, from the lowest to the highest score.

    Args:
        predictions: Predictions of the videos.
        data: Crops of the videos.
        path: PNG file to write.
        title: Title of the sheet.
    """
    examples = choose_examples(aggregate(clean(predictions)), EXAMPLES)
    if not len(examples):
        return
    row_of = {video_id: row for row, video_id in enumerate(data.index["video_id"])}
    tiles = []
    for video in examples.itertuples():
        row = row_of[video.video_id]
        numbers = data.frame_numbers(row)
        places = np.linspace(0, len(numbers) - 1, SHOWN_FRAMES).round().astype(int)
        frames = data.read(row, numbers[places])
        tiles.append(Tile(frames, int(video.label), float(video.fake_prob), str(video.method)))
    draw_sheet(tiles, path, title=title)


def _read_accepted(ensemble: Ensemble) -> list[Flag]:
    """Returns the flags of audit errors that were accepted for the training data of a member."""
    flags: list[Flag] = []
    for workdir in dict.fromkeys(member.workdir for member in ensemble.members):
        flags += [flag for flag in read_accepted(workdir) if flag not in flags]
    return flags


def _compare_crops(ensemble: Ensemble, data: FrameStore) -> list[Flag]:
    """Returns a flag if the crops of the data were made otherwise than the training crops."""
    recipe = read_crop_recipe(data.path)
    for member in ensemble.members:
        trained = run_data.find_recipe(member.config)
        differences = list_differences(recipe, trained) if recipe and trained else []
        if differences:
            message = (
                f"the crops of {data.path} were made otherwise than the training crops of "
                f"{member.workdir} ({'; '.join(differences)})"
            )
            return [make_flag("crops_differ", "warning", message)]
    return []


def _has_searched_faces(data: FrameStore) -> bool:
    """Returns whether the index says in which frames a face was detected."""
    recipe = read_crop_recipe(data.path)
    return recipe is not None and recipe.detector != "none" and "face_found" in data.index


def _flag_few_faces(predictions: pd.DataFrame, least: float) -> list[Flag]:
    """Returns a flag for videos that `predict` does not score, as too few frames have a face."""
    if "face_share" not in predictions:
        return []
    shares = predictions.groupby("video_id")["face_share"].mean()
    ids = shares.index[shares < least]
    if not len(ids):
        return []
    message = (
        f"in {len(ids)} of {len(shares)} videos a face was detected in less than the share "
        f"{least:g} of the frames (eval.min_face_share): `predict` does not score such videos"
    )
    return [make_flag("few_faces", "warning", message, ids)]


def find_rows(data: FrameStore, detector: Detector, split: str, *, own: bool) -> np.ndarray:
    """Returns the rows of the split; other data need not have the methods of the config."""
    if own:
        return run_data.split_rows(data, detector.config, split)
    rows = np.flatnonzero(data.index["split"] == split)
    if not len(rows):
        found = ", ".join(sorted(set(data.index["split"])))
        raise UsageError(f"the data have no video in split {split!r}; their splits are: {found}")
    return rows
