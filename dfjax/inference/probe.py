"""Measures which shortcuts a detector takes: `dfjax probe`."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pandas as pd
from rich.console import RenderableType
from rich.table import Table

from dfjax import FAKE, REAL
from dfjax.console import track
from dfjax.data.clips.pipeline import make_eval_batches
from dfjax.data.store.frame_store import FrameStore
from dfjax.data.transforms.shortcuts import SHORTCUTS, change_clips
from dfjax.errors import UsageError
from dfjax.evaluation.metrics.shortcuts import compute_shortcuts
from dfjax.evaluation.report.rows import format_interval
from dfjax.evaluation.videos.aggregation import VIDEO, score_videos
from dfjax.evaluation.videos.clusters import Clusters, describe_clusters, find_clusters
from dfjax.experiment import builders
from dfjax.files import write_json
from dfjax.inference.detector import Detector, load
from dfjax.inference.evaluation_data import need_crops, open_evaluation_data
from dfjax.inference.score_inputs import ClipScorer, make_batch
from dfjax.outputs import check_outputs
from dfjax.results import Result
from dfjax.shapes import HostBatch

AnyPath = str | os.PathLike[str]
Rows = np.ndarray


@dataclass(frozen=True)
class Probe(Result):
    """How a detector reacts to real faces with one trace of fakes each.

    Attributes:
        detector_auc: AUC of reals against fakes on one clip per video, with its interval.
        shortcuts: A row for each shortcut (`metrics.shortcuts.compute_shortcuts`).
        videos: Number of real videos and of fakes.
        resampled: What is resampled for the intervals, and their number.
        checkpoint: Name of the checkpoint.
        split: Split of the videos.
        out: File that the result was written to, or None.
    """

    detector_auc: dict[str, Any]
    shortcuts: list[dict[str, Any]]
    videos: dict[str, int]
    resampled: str
    checkpoint: str
    split: str
    out: Path | None = None

    in_json = ("detector_auc", "shortcuts", "videos", "resampled", "checkpoint", "split")

    def describe(self) -> list[RenderableType]:
        """Returns a table of the shortcuts, and a line on the detector."""
        table = Table(box=None, pad_edge=False)
        table.add_column("real faces with")
        for name in ("AUC", "95 %", "share of the AUC", "95 %"):
            table.add_column(name, justify="right", no_wrap=True)
        for row in self.shortcuts:
            table.add_row(
                row["shortcut"],
                f"{row['auc']:.3f}",
                format_interval(row["auc_ci"]),
                f"{row['share']:.2f}",
                format_interval(row["share_ci"], 2),
            )
        auc = self.detector_auc
        line = (
            f"AUC of the detector {auc['video_auc']:.3f} [{format_interval(auc['video_auc_ci'])}]"
        )
        where = f"{self.videos['real']} real and {self.videos['fake']} fake videos, {self.split}"
        written = [f"written to {self.out}"] if self.out else []
        return [table, f"{line} on {where}; resamples of {self.resampled}", *written]


def probe(
    detector: AnyPath | Detector,
    *,
    split: str = "test",
    index: AnyPath | None = None,
    out: AnyPath | None = None,
    checkpoint: str = "best",
    model: str = "",
    seed: int = 0,
) -> Probe:
    """Returns how well a detector separates real faces with one trace of fakes from those without.

    Every real video of a split is changed as `transforms.shortcuts.change_clips` says, and scored
    on one clip. Manipulations that the config holds back from training are left out.

    Args:
        detector: Workdir of a training run, a safetensors file, or a detector from `dfjax.load`.
        split: Split of the videos.
        index: Index or pack of the videos; None for the data of the run.
        out: JSON file of the result. None: `probe.json` in the workdir, where `detector` is one.
        checkpoint: `best` or `last`, where `detector` is a workdir.
        model: Name of the config of a safetensors file whose header does not have the config.
        seed: Seed of the changes and of the resampling.

    Raises:
        UsageError: A workdir, checkpoint or split does not exist, the data have no crops or a
            single class, or `out` is a file that dfjax did not write.
    """
    loaded = detector if isinstance(detector, Detector) else load(detector, checkpoint, model=model)
    path = Path(out) if out is not None else None
    if path is None and not isinstance(detector, Detector) and os.path.isdir(detector):
        path = Path(detector) / "probe.json"
    check_outputs([path] if path else [])
    sha256 = loaded.data_sha256
    data = need_crops(
        open_evaluation_data(loaded.config, loaded.workdir, index, data_sha256=sha256)
    )
    reals, fakes = _choose_videos(data, split, loaded.config.data.holdout_methods)
    scores = score_versions(loaded, data, reals, fakes, seed=seed)
    of_fakes = _score(loaded, _batches(loaded, data, fakes), total=len(fakes))
    clusters, number = _number_clusters(data, np.r_[reals, fakes])
    changed = {name: (scores[a], scores[b]) for name, (a, b) in SHORTCUTS.items()}
    base, found = compute_shortcuts(scores["original"], of_fakes, changed, number, seed=seed)
    result = Probe(
        detector_auc=base,
        shortcuts=found,
        videos={"real": len(reals), "fake": len(fakes)},
        resampled=describe_clusters(clusters.kind, clusters.count),
        checkpoint=loaded.checkpoint,
        split=split,
        out=path,
    )
    if path:
        write_json(path, result.to_json())
    return result


def _choose_videos(data: FrameStore, split: str, held_back: Sequence[str]) -> tuple[Rows, Rows]:
    """Returns the rows of the real videos of a split, and those of its fakes."""
    rows = np.flatnonzero(data.index["split"] == split)
    held = data.index["method"].iloc[rows].isin(held_back).to_numpy()
    labels = data.index["label"].to_numpy()[rows]
    reals, fakes = rows[labels == REAL], rows[(labels == FAKE) & ~held]
    if not len(reals) or not len(fakes):
        raise UsageError(
            f"a probe needs real videos and fakes, but split {split!r} has {len(reals)} real "
            f"videos and {len(fakes)} fakes"
        )
    return reals, fakes


def score_versions(
    scorer: ClipScorer, data: FrameStore, reals: Rows, fakes: Rows, *, seed: int = 0
) -> dict[str, np.ndarray]:
    """Returns P(fake) of the versions of each real video (`change_clips`), by name.

    The other clips that lend a face or a background are those of videos half of the set away, so
    that they do not show the same recording in data that are sorted by it.

    Args:
        scorer: Detector.
        data: Crops.
        reals: Rows of the real videos.
        fakes: Rows of the fakes.
        seed: Seed of the changes.
    """
    change = jax.jit(change_clips)
    key = jax.random.key(seed)
    others = np.roll(reals, len(reals) // 2), np.resize(np.roll(fakes, len(fakes) // 2), len(reals))
    streams = [_batches(scorer, data, rows) for rows in (reals, *others)]
    found: dict[str, list[np.ndarray]] = {}
    count = -(-len(reals) // scorer.config.eval.batch_size)
    for batch, real, fake in track(zip(*streams), total=count, what="changing and scoring reals"):
        sources = {"clip": batch["clip"], "real": real["clip"], "fake": fake["clip"]}
        versions = change(
            {**sources, "mask": batch["mask"], "video_index": batch["video_index"]}, key
        )
        for name, clips in versions.items():
            changed = make_batch(np.asarray(clips), batch["mask"], flow=scorer.config.data.flow)
            ((_, scores),) = scorer.score([changed])
            found.setdefault(name, []).append(scores["fake_prob"][batch["weight"] > 0])
    return {name: np.concatenate(parts) for name, parts in found.items()}


def _score(scorer: ClipScorer, batches: Iterator[HostBatch], *, total: int) -> np.ndarray:
    count = -(-total // scorer.config.eval.batch_size)
    scored = scorer.score(track(batches, total=count, what="scoring fakes"))
    return np.concatenate([s["fake_prob"][batch["weight"] > 0] for batch, s in scored])


def _batches(
    scorer: ClipScorer, data: FrameStore, rows: Sequence[int] | Rows
) -> Iterator[HostBatch]:
    """Returns batches with one clip of each video; flow is computed after the changes."""
    config = scorer.config
    batches = make_eval_batches(
        data,
        np.asarray(rows),
        sampling=builders.make_sampling(config),
        clips_per_video=1,
        batch_size=config.eval.batch_size,
        threads=config.data.threads,
        prefetch=1,
    )
    for batch in batches:
        if config.data.flow:
            batch = batch | make_batch(batch["clip"], batch["mask"], flow=True)
        yield batch


def _number_clusters(data: FrameStore, rows: Rows) -> tuple[Clusters, np.ndarray]:
    """Returns the clusters of some videos, and the number of the cluster of each row."""
    videos = data.index.iloc[rows]
    columns = {name: videos[name].to_numpy() for name in ("dataset", "video_id", "label", "method")}
    constants = {"unit": "video", "position": 0, "face": 0, "fake_prob": 0.5}
    scored = score_videos(pd.DataFrame({**columns, **constants}))
    clusters = find_clusters(scored, data.index)
    place = pd.MultiIndex.from_frame(scored.videos[VIDEO])
    return clusters, clusters.number[place.get_indexer(pd.MultiIndex.from_frame(videos[VIDEO]))]
