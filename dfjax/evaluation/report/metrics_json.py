"""Computes the content of `metrics.json`: the metrics of an evaluation and its flags."""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from dfjax import FAKE, REAL
from dfjax.data.index.frame_counts import count_frames, summarise_frames
from dfjax.evaluation import flags, metrics
from dfjax.evaluation.calibration.verdict_shares import measure_verdict_shares
from dfjax.evaluation.conventions.benchmark_protocol import Numbers
from dfjax.evaluation.flags import Flag
from dfjax.evaluation.metrics import Metrics
from dfjax.evaluation.metrics.method_guesses import measure_methods
from dfjax.evaluation.metrics.named_metrics import Frozen, recall_at_fpr
from dfjax.evaluation.metrics.uncertainty import compute_uncertainty
from dfjax.evaluation.videos.aggregation import VideoScores, score_videos
from dfjax.evaluation.videos.clusters import (
    Clusters,
    describe_clusters,
    find_clusters,
    find_identities,
)
from dfjax.evaluation.videos.cuts import (
    OVERALL,
    WITH_INTERVALS,
    Cuts,
    cut_identities,
    cut_tables,
    find_heldout,
    take_section,
)

VIDEO_SCORE = "the score of a video is the mean fake_prob of its clips or frames; threshold 0.5"


RESULT_FILES = (
    *("metrics.json", "predictions.parquet", "roc.png", "uncertainty.png", "sheet.png"),
    "risk_coverage.csv",
    "curves.png",
)
"""Files that an evaluation may write to its folder."""


@dataclass(frozen=True)
class Context:
    """Information about an evaluation besides the scores; all of it is optional.

    Attributes:
        heldout_methods: Manipulations held back from training.
        index: Index of the data, which is joined by `video_id`.
        train_index: Index rows of the videos that the detector was trained on.
        history: Table `history.csv` of the run.
        checkpoint: Name of the checkpoint, for example `best/1200`.
        split: Name of the evaluated split.
        unreadable: Number of videos or clips that could not be read.
        flags: Flags from reading the table or auditing the training data.
        accepted: Values that occur in several splits of the training data and were accepted for
            training, by column of the index.
        frozen: Threshold that was chosen on other videos, or None.
        numbers: Protocol of the numbers.
        files: Files and folders that the predictions depend on, by name, for the record of inputs.
        guarantee: What the verdicts of a calibration guarantee, or None.
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
    frozen: Frozen | None = None
    numbers: Numbers = field(default_factory=Numbers)
    files: Mapping[str, Path] = field(default_factory=dict)
    guarantee: Mapping[str, Any] | None = None

    @property
    def settings(self) -> dict[str, Any]:
        """Settings that the numbers depend on, as JSON represents them."""
        return {
            "split": self.split,
            "checkpoint": self.checkpoint,
            "heldout_methods": list(self.heldout_methods),
            "unreadable": self.unreadable,
            "frozen": self.frozen._asdict() if self.frozen else None,
            "protocol": self.numbers.protocol,
            "first_frames": self.numbers.first_frames,
            "guarantee": dict(self.guarantee) if self.guarantee else None,
        }

    def find_rows(self, predictions: pd.DataFrame) -> pd.DataFrame | None:
        """Returns the index rows of the videos in `predictions`, or None without an index."""
        if self.index is None:
            return None
        # `isin` of a million repeated strings would take seconds.
        return self.index[self.index["video_id"].isin(predictions["video_id"].unique())]


def make_metrics(
    predictions: pd.DataFrame, context: Context | None = None, *, resamples: int = metrics.RESAMPLES
) -> dict[str, Any]:
    """Returns the content of `metrics.json`.

    `overall`, `by_dataset`, `by_method`, `macro` and `macro_datasets` (unweighted means) leave out
    the manipulations held back from training, which are in `unseen_methods`. The metrics of a
    manipulation include all real videos of its data set. Where the persons shown are known, those
    of each are in `by_identity`. `recall_at_fpr` has the recall of each manipulation at fixed FPRs
    of all reals. With several draws of each score there is a block `uncertainty`
    (`uncertainty.compute_uncertainty`).

    Args:
        predictions: Table with the columns `predictions.COLUMNS`.
        context: Information besides the scores.
        resamples: Number of bootstrap resamples for the intervals.
    """
    context = context or Context()
    scores = score_videos(predictions)
    cuts = cut_tables(predictions, scores.videos, context.heldout_methods)
    clusters = find_clusters(scores, context.index)
    intervals = None if len(cuts) <= WITH_INTERVALS + 1 else [OVERALL]
    options: dict[str, Any] = {
        "intervals": intervals,
        "resamples": resamples,
        "frozen": context.frozen,
    }
    measured = metrics.compute_tables(scores, cuts, clusters=clusters, **options)
    by_method, by_dataset = (take_section(measured, one) for one in ("by_method", "by_dataset"))
    seen = predictions[~find_heldout(predictions, context.heldout_methods)]
    some = {
        "by_identity": _measure_identities(scores, context),
        "val_threshold": context.frozen._asdict() if context.frozen else None,
        "uncertainty": compute_uncertainty(seen),
        "guessed_methods": measure_methods(seen),
        "calibration": measure_verdict_shares(seen, context.guarantee),
    }
    result = {
        "overall": measured[OVERALL],
        "by_dataset": by_dataset,
        "by_method": by_method,
        "macro": metrics.macro_mean(list(by_method.values())),
        "macro_datasets": metrics.macro_mean(list(by_dataset.values())),
        "unseen_methods": take_section(measured, "unseen_methods"),
        "recall_at_fpr": _recall_at_fpr(scores, cuts),
        "heldout_methods": list(context.heldout_methods),
        **{name: block for name, block in some.items() if block},
        "flags": find_flags(
            predictions, scores.videos[cuts[OVERALL]], measured[OVERALL], clusters, context
        ),
        "n": count(scores, context.unreadable),
        "frames_per_video": _count_frames(context.find_rows(predictions)),
        "protocol": _protocol(context, resamples, clusters),
        "resampled": clusters.kind,
        "clusters": clusters.count,
        "split": context.split or "+".join(sorted(set(predictions["split"]))),
        "checkpoint": context.checkpoint,
        "generated": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
    }
    return context.numbers.apply(result, predictions, context.heldout_methods)


def _measure_identities(scores: VideoScores, context: Context) -> dict[str, Metrics]:
    """Returns the metrics of the videos of each person, without intervals."""
    held = find_heldout(scores.videos, context.heldout_methods)
    cuts = cut_identities(find_identities(scores, context.index), held)
    if not cuts:
        return {}
    measured = metrics.compute_tables(scores, cuts, resamples=0, frozen=context.frozen)
    return take_section(measured, "by_identity")


def _recall_at_fpr(scores: VideoScores, cuts: Cuts) -> dict[str, dict[str, object]]:
    videos = scores.videos
    methods = take_section(cuts, "by_method") | take_section(cuts, "unseen_methods")
    return recall_at_fpr(
        videos["fake_prob"].to_numpy(np.float64), videos["label"].to_numpy(np.int64), methods
    )


def find_flags(
    predictions: pd.DataFrame,
    videos: pd.DataFrame,
    overall: Metrics,
    clusters: Clusters,
    context: Context,
) -> list[Flag]:
    """Returns all flags, errors first.

    Args:
        predictions: Table as it was read.
        videos: Videos that `overall` was computed from, one row each.
        overall: Metrics of these videos.
        clusters: Clusters that are resampled.
        context: Information besides the scores.
    """
    evidence = flags.Evidence(
        predictions=predictions,
        videos=videos,
        metrics=overall,
        clusters=clusters,
        index=context.find_rows(predictions),
        train_index=context.train_index,
        history=context.history,
        accepted=context.accepted,
    )
    return flags.sort_flags([*context.flags, *flags.check(evidence)])


def count(scores: VideoScores, unreadable: int) -> dict[str, int]:
    """Returns the numbers of videos, clips and frames with a score, and of real and fake videos.

    Args:
        scores: Videos and rows with a score.
        unreadable: Number of videos or clips that could not be read.
    """
    units, labels = scores.rows["unit"], scores.videos["label"]
    return {
        "videos": len(labels),
        "clips": int((units == "clip").sum()),
        "frames": int((units == "frame").sum()),
        "real": int((labels == REAL).sum()),
        "fake": int((labels == FAKE).sum()),
        "unreadable": unreadable,
    }


def _count_frames(index: pd.DataFrame | None) -> dict[str, Any] | None:
    """Returns statistics of the frames per video, by class; None if the index has no counts."""
    if index is None or not {"n_frames", "frame_indices"} <= set(index):
        return None
    return summarise_frames(count_frames(index), index["label"])


def _protocol(context: Context, resamples: int, clusters: Clusters) -> str:
    held = ", ".join(context.heldout_methods)
    drawn = describe_clusters(clusters.kind, clusters.count)
    return "; ".join(
        [
            VIDEO_SCORE,
            "each manipulation against the reals of its data set",
            f"held back from training: {held}" if held else "no manipulation held back",
            f"95 % intervals from {resamples:,} resamples of {drawn}",
        ]
    )
