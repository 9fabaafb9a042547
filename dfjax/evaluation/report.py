"""`metrics.json`: everything that one evaluation says, and what to doubt about it."""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from dfjax import FAKE, REAL
from dfjax.data.index.frame_counts import count_frames, summarise_frames
from dfjax.evaluation import flags, metrics
from dfjax.evaluation.aggregation import VIDEO, aggregate, clean
from dfjax.evaluation.flags import Flag
from dfjax.evaluation.method_guesses import measure_methods
from dfjax.evaluation.metrics import Metrics
from dfjax.evaluation.uncertainty import compute_uncertainty

SEVERITIES = ("error", "warning", "info")
VIDEO_SCORE = "a video scores the mean fake_prob of its clips or frames; threshold 0.5"


@dataclass(frozen=True)
class Context:
    """What is known beside the scores; all of it may be missing.

    Attributes:
        heldout_methods: manipulations that the config keeps out of training.
        index: rows of the data; those of the evaluated videos are looked up by `video_id`.
        train_index: rows of the videos that the detector was trained on.
        history: `history.csv` of the run.
        checkpoint: name of the checkpoint, for example `best/1200`.
        split: name of the evaluated split.
        unreadable: how many videos or clips could not be read.
        flags: what reading the table, or auditing the training data, already noticed.
        accepted: by column, what lies in several splits of the training data and was accepted.
    """

    heldout_methods: Sequence[str] = ()
    index: pd.DataFrame | None = None
    train_index: pd.DataFrame | None = None
    history: pd.DataFrame | None = None
    checkpoint: str | None = None
    split: str | None = None
    unreadable: int = 0
    flags: Sequence[Flag] = ()
    accepted: Mapping[str, Set[str]] = field(default_factory=dict)


def make_metrics(
    predictions: pd.DataFrame, context: Context | None = None, *, resamples: int = metrics.RESAMPLES
) -> dict[str, Any]:
    """Returns the content of `metrics.json`.

    `overall`, `by_dataset`, `by_method` and `macro` (the plain mean over `by_method`) leave out
    the manipulations held back from training; those are in `unseen_methods`. A manipulation is
    measured against all real videos of its data set. Predictions of several draws have the block
    `uncertainty` (`uncertainty.compute_uncertainty`).

    Args:
        predictions: the table of CONTRACTS.
        context: what else is known.
        resamples: bootstrap resamples of videos per interval.
    """
    context = context or Context()
    seen, unseen = split_unseen(predictions, context.heldout_methods)
    overall = metrics.compute(seen, resamples=resamples)
    by_method = _compute_each(split_methods(seen), resamples)
    uncertainty = compute_uncertainty(seen)
    methods = measure_methods(seen)
    datasets = {str(name): rows for name, rows in seen.groupby("dataset")}
    return {
        "overall": overall,
        "by_dataset": _compute_each(datasets, resamples),
        "by_method": by_method,
        "macro": metrics.macro_mean(list(by_method.values())),
        "unseen_methods": _compute_each(split_methods(unseen), resamples),
        **({"uncertainty": uncertainty} if uncertainty else {}),
        **({"guessed_methods": methods} if methods else {}),
        "flags": find_flags(predictions, seen, overall, context),
        "n": count(predictions, context.unreadable),
        "frames_per_video": _count_frames(predictions, context.index),
        "protocol": _protocol(context, resamples),
        "split": context.split or "+".join(sorted(set(predictions["split"]))),
        "checkpoint": context.checkpoint,
        "generated": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
    }


def split_unseen(
    predictions: pd.DataFrame, heldout_methods: Sequence[str]
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Returns (the rows without held-out manipulations, those manipulations and all reals)."""
    held = predictions["method"].isin(list(heldout_methods)) & (predictions["label"] == FAKE)
    reals = predictions["label"] == REAL
    return predictions[~held], predictions[held | reals]


def split_methods(predictions: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Returns each manipulation's rows with all reals of its data set, by name, sorted.

    A manipulation that several data sets have appears once for each, as `DATASET/METHOD`.
    """
    fakes = predictions[predictions["label"] == FAKE]
    pairs = sorted(set(zip(fakes["method"], fakes["dataset"])))
    methods = [method for method, _ in pairs]
    tables = {}
    for method, dataset in pairs:
        mine = (predictions["dataset"] == dataset) & (
            (predictions["label"] == REAL) | (predictions["method"] == method)
        )
        name = method if methods.count(method) == 1 else f"{dataset}/{method}"
        tables[name] = predictions[mine]
    return tables


def find_flags(
    predictions: pd.DataFrame, seen: pd.DataFrame, overall: Metrics, context: Context
) -> list[Flag]:
    """Returns all flags, errors first."""
    index = context.index
    if index is not None:
        index = index[index["video_id"].isin(predictions["video_id"])]
    evidence = flags.Evidence(
        predictions=predictions,
        videos=aggregate(clean(seen)),
        metrics=overall,
        index=index,
        train_index=context.train_index,
        history=context.history,
        accepted=context.accepted,
    )
    found = [*context.flags, *flags.check(evidence)]
    return sorted(found, key=lambda flag: SEVERITIES.index(flag["severity"]))


def count(predictions: pd.DataFrame, unreadable: int) -> dict[str, int]:
    """Returns how many videos, clips and frames have a usable score, and of which class."""
    rows = clean(predictions)
    videos = rows.drop_duplicates(VIDEO)
    return {
        "videos": len(videos),
        "clips": int((rows["unit"] == "clip").sum()),
        "frames": int((rows["unit"] == "frame").sum()),
        "real": int((videos["label"] == REAL).sum()),
        "fake": int((videos["label"] == FAKE).sum()),
        "unreadable": unreadable,
    }


def _count_frames(predictions: pd.DataFrame, index: pd.DataFrame | None) -> dict[str, Any] | None:
    """Frames per video of the evaluated videos, by class; None where the index does not say."""
    if index is None or not {"n_frames", "frame_indices"} <= set(index):
        return None
    index = index[index["video_id"].isin(predictions["video_id"])]
    return summarise_frames(count_frames(index), index["label"])


def _compute_each(tables: dict[str, pd.DataFrame], resamples: int) -> dict[str, Metrics]:
    return {name: metrics.compute(rows, resamples=resamples) for name, rows in tables.items()}


def _protocol(context: Context, resamples: int) -> str:
    held = ", ".join(context.heldout_methods)
    return "; ".join(
        [
            VIDEO_SCORE,
            "each manipulation against the reals of its data set",
            f"held back from training: {held}" if held else "no manipulation held back",
            f"95 % intervals from {resamples:,} resamples of videos",
        ]
    )
