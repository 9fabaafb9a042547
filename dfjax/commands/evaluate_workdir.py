"""The evaluation of a workdir: its detector on its own data, or on another index."""

import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from dfjax.commands import assembly
from dfjax.commands.auditing import list_accepted_links, read_accepted
from dfjax.commands.detector import Detector, load
from dfjax.commands.evaluate import write_results
from dfjax.commands.progress import track
from dfjax.commands.training import use_compilation_cache
from dfjax.data.error_log import read_errors
from dfjax.data.pack import Pack, open_pack, pack
from dfjax.data.pack_reader import MANIFEST
from dfjax.data.records import SPLITS, find_index
from dfjax.errors import UsageError, unknown
from dfjax.evaluation.aggregation import aggregate, clean
from dfjax.evaluation.plots import plot_curves
from dfjax.evaluation.report import Context, make_metrics
from dfjax.evaluation.scoring import score
from dfjax.evaluation.sheets import SHOWN_FRAMES, Tile, choose_examples, draw_sheet

EXAMPLES = 24


def evaluate_workdir(
    workdir: Path, *, split: str, index: Path | None, checkpoint: str, out: Path
) -> dict[str, Any]:
    """Returns the content of `metrics.json`, after writing it and all that belongs to it to `out`.

    Raises:
        UsageError: no such split, checkpoint or data, or a split without videos.
    """
    if split not in SPLITS:
        raise unknown("split", split, SPLITS)
    detector = load(workdir, checkpoint)
    use_compilation_cache(workdir)
    config = detector.config
    training = _training_data(detector, workdir, needed=index is None)
    data = training if index is None else open_index(index, out)
    assert data is not None
    rows = _rows(data, detector, split, own=index is None)
    batches = track(assembly.eval_batches(data, config, rows), total=None, what="scoring")
    predictions = score(detector.predict_step, detector.variables, batches, data.index, split=split)
    history = workdir / "history.csv"
    context = Context(
        heldout_methods=tuple(config.data.holdout_methods),
        index=data.index,
        train_index=_trained_on(training, detector),
        history=pd.read_csv(history) if history.is_file() else None,
        checkpoint=detector.checkpoint,
        split=split,
        unreadable=count_unreadable(data),
        flags=read_accepted(workdir),
        accepted=list_accepted_links(workdir, training.index) if training else {},
    )
    result = make_metrics(predictions, context)
    title = make_title(config.name, split, data.index["dataset"].iloc[rows])
    write_results(out, predictions, result, context, title)
    write_sheet(predictions, data, out / "sheet.png", title)
    if context.history is not None and len(context.history):
        plot_curves(history, out / "curves.png")
    return result


def open_index(index: Path, out: Path) -> Pack:
    """Returns the pack that an index belongs to; crops that are not packed yet are packed in `out`.

    Raises:
        UsageError: there is no such index, or it names no crops.
    """
    folder = index if index.is_dir() else index.parent
    if (folder / MANIFEST).is_file() and find_index(index) == folder / "index.parquet":
        return open_pack(folder)
    pack(index, out / "pack")
    return open_pack(out / "pack")


def count_unreadable(data: Pack) -> int:
    """Returns how many videos could not be packed at all."""
    listed = {entry["video_id"] for entry in read_errors(data.path)}
    return len(listed - set(data.index["video_id"]))


def make_title(name: str, split: str, datasets: Iterable[str]) -> str:
    """Returns what stands over every picture; synthetic data is always called so."""
    found = sorted(set(datasets))
    return f"{name} · {split} · {', '.join(found)} data"


def write_sheet(predictions: pd.DataFrame, data: Pack, path: Path, title: str) -> None:
    """Writes a contact sheet of videos of both classes, from the lowest to the highest score."""
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


def _training_data(detector: Detector, workdir: Path, *, needed: bool) -> Pack | None:
    """The run's own data; where only other data is scored it may be gone, which is said."""
    try:
        return assembly.open_data(detector.config, workdir)
    except UsageError as error:
        if needed:
            raise
        print(f"dfjax: leaks from training are not checked: {error}", file=sys.stderr)
        return None


def _trained_on(training: Pack | None, detector: Detector) -> pd.DataFrame | None:
    if training is None:
        return None
    return training.index.iloc[assembly.split_rows(training, detector.config, "train")]


def _rows(data: Pack, detector: Detector, split: str, *, own: bool) -> np.ndarray:
    """Rows of the split; another data set need not have the methods that the config names."""
    if own:
        return assembly.split_rows(data, detector.config, split)
    rows = np.flatnonzero(data.index["split"] == split)
    if not len(rows):
        found = ", ".join(sorted(set(data.index["split"])))
        raise UsageError(f"the data has no video in split {split!r} (splits there: {found})")
    return rows
