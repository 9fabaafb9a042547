"""Calibrates a detector on its validation videos: `dfjax calibrate`."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import RenderableType
from rich.table import Table

from dfjax.data.index.records import find_index
from dfjax.data.store.frame_store import FrameStore
from dfjax.errors import UsageError
from dfjax.evaluation.calibration.calibration_file import (
    CALIBRATION,
    Calibration,
    check_rates,
    read_calibration,
    write_calibration,
)
from dfjax.evaluation.calibration.choice import choose_map, measure_reliability
from dfjax.evaluation.calibration.conformal import FAKE_VERDICT, REAL_VERDICT, UNDECIDED, Rates
from dfjax.evaluation.calibration.verdict_shares import cross_decide
from dfjax.evaluation.figures.reliability_plot import LIMITS, plot_reliability
from dfjax.evaluation.report.rows import format_interval
from dfjax.evaluation.videos.aggregation import score_videos
from dfjax.evaluation.videos.clusters import describe_clusters, find_clusters
from dfjax.files import hash_file
from dfjax.inference.detector import Detector
from dfjax.inference.ensemble import Ensemble, load_ensemble
from dfjax.inference.ensemble_evaluation import score_split
from dfjax.inference.evaluation_data import open_evaluation_data
from dfjax.inference.measured_clips import MeasuredClips
from dfjax.outputs import check_inside, check_outputs
from dfjax.results import Result

VALIDATION = "val"
FIGURE = "calibration.png"

AnyPath = str | os.PathLike[str]


@dataclass(frozen=True)
class CalibrationReport(Result):
    """A calibration that was written.

    Attributes:
        calibration: The calibration.
        path: File `calibration.json`.
        shares: Share of each verdict by class and error rate (`cross_decide`).
    """

    calibration: Calibration
    path: Path
    shares: dict[str, dict[float, dict[str, float]]]

    def list_notes(self) -> list[str]:
        """Returns what the guarantee depends on, and which verdicts are impossible."""
        shortages = self.calibration.conformal.list_shortages(self.calibration.rates)
        return [*self.calibration.notes, *shortages]

    def describe(self) -> Sequence[RenderableType]:
        """Returns tables of the maps and of the verdicts, and the files."""
        maps = Table(box=None, pad_edge=False)
        for name in ("calibration", "log loss (cross-validated)", "95 %", "change", "95 %"):
            maps.add_column(name, justify="left" if name == "calibration" else "right")
        chosen = self.calibration.map.kind
        for row in self.calibration.choice:
            name = row["kind"] + (" (chosen)" if row["kind"] == chosen else "")
            maps.add_row(
                name,
                f"{row['log_loss']:.4f}",
                format_interval(row["log_loss_ci"], 4),
                f"{row['change']:.4f}",
                format_interval(row["change_ci"], 4),
            )
        before, after = (self.calibration.reliability[name] for name in ("before", "after"))
        lines = [
            f"{name}: {before[key]:.4f} before, {after[key]:.4f} after (cross-validated)"
            for name, key in (("ECE", "ece"), ("Brier score", "brier"), ("log loss", "log_loss"))
        ]
        rates = self.calibration.rates
        shown = [rate for rate in (rates.false_alarm, rates.miss)]
        lines += [
            _describe_shares(kind, rate, self.shares[kind][rate])
            for kind, rate in zip(("real", "fake"), shown)
        ]
        return [maps, *lines, f"written to {self.path} and {self.path.with_name(FIGURE)}"]

    def to_json(self) -> dict[str, Any]:
        """Returns the chosen map, the reliability, the rates and the shares of verdicts."""
        one = self.calibration
        shares = {
            kind: {f"{rate:g}": values for rate, values in found.items()}
            for kind, found in self.shares.items()
        }
        reliability = {
            name: {key: block[key] for key in ("log_loss", "brier", "ece")}
            for name, block in one.reliability.items()
        }
        return {
            "calibration": str(self.path),
            "checkpoint": one.checkpoint,
            "checkpoint_sha256": one.checkpoint_sha256,
            "videos": len(one.label),
            "groups": one.conformal.groups,
            "map": one.map._asdict(),
            "choice": one.choice,
            "reliability": reliability,
            "rates": one.rates._asdict(),
            "verdicts": shares,
            "notes": self.list_notes(),
        }


def _describe_shares(kind: str, rate: float, shares: dict[str, float]) -> str:
    said = ", ".join(
        f"{shares[name]:.1%} {name}" for name in (REAL_VERDICT, FAKE_VERDICT, UNDECIDED)
    )
    return f"verdicts on {kind} videos at an error rate of {rate:g} (cross-validated): {said}"


def calibrate(
    detector: AnyPath | Detector,
    *,
    checkpoint: str = "best",
    index: AnyPath | None = None,
    kind: str = "auto",
    false_alarm_rate: float = 0.05,
    miss_rate: float | None = None,
    ensemble: Sequence[AnyPath] = (),
    model: str = "",
    passes: int = 0,
    flip: bool = False,
    seed: int = 0,
) -> CalibrationReport:
    """Fits a calibration to the validation videos and writes it to the workdir.

    Args:
        detector: Workdir, safetensors file, or a detector from `dfjax.load`.
        checkpoint: `best` or `last`, where `detector` is a workdir.
        index: Data whose split `val` is used; None for the data of the run.
        kind: `temperature`, `platt`, `isotonic`, `none`, or `auto` for the one with the lowest
            cross-validated log loss.
        false_alarm_rate: Largest probability that a real video is called fake.
        miss_rate: Largest probability that a fake is called real; None for the same.
        ensemble: Further members (see `load_ensemble`).
        model: Config of a safetensors file whose header does not have one.
        passes: Number of passes of Monte-Carlo dropout.
        flip: Whether mirror images are scored too.
        seed: Seed of the passes and of the folds.

    Raises:
        UsageError: A workdir or checkpoint does not exist, there are too few validation videos, or
            an argument is out of range.
    """
    miss_rate = false_alarm_rate if miss_rate is None else miss_rate
    rates = check_rates(Rates(false_alarm_rate, miss_rate))
    scorer = load_ensemble(
        detector, checkpoint, ensemble=ensemble, model=model, passes=passes, flip=flip, seed=seed
    )
    workdir = scorer.workdir
    path = workdir / CALIBRATION
    for output in (path, path.with_name(FIGURE)):
        check_inside(output, workdir)
    check_outputs([path, path.with_name(FIGURE)])
    first, packed = scorer.members[0], workdir / "eval" / VALIDATION
    sha256 = first.data_sha256
    data = open_evaluation_data(scorer.config, first.workdir, index, packed, data_sha256=sha256)
    scorer.check_data(data)
    calibration, shares = _fit(scorer, data, rates, kind, seed, own=index is None)
    write_calibration(calibration, path)
    title = f"{scorer.config.name} · {calibration.checkpoint} · {len(calibration.label)} videos"
    plot_reliability(calibration.reliability, shares, path.with_name(FIGURE), title=title)
    return CalibrationReport(read_calibration(path), path, shares)


def _fit(
    scorer: Ensemble, data: FrameStore, rates: Rates, kind: str, seed: int, *, own: bool
) -> tuple[Calibration, dict[str, Any]]:
    measured = MeasuredClips()
    predictions = score_split(scorer, data, VALIDATION, own=own, watch=measured.watch)
    scores = score_videos(predictions)
    if not len(scores.videos):
        raise UsageError(f"no validation video of {data.path} has a score")
    clusters = find_clusters(scores, data.index)
    videos = scores.videos
    probs, labels = videos["fake_prob"].to_numpy(np.float64), videos["label"].to_numpy(np.int64)
    choice = choose_map(probs, labels, clusters.number, kind=kind, seed=seed)
    inputs = measured.tabulate(data.index).reindex(videos["video_id"])
    reliability = {
        "before": measure_reliability(probs, labels),
        "after": measure_reliability(choice.held_out, labels),
    }
    config = scorer.config
    calibration = Calibration(
        checkpoint=scorer.checkpoint,
        checkpoint_sha256=scorer.checkpoint_sha256,
        scoring={"draws": scorer.draws, "clips": int(config.data.eval_clips)},
        data={
            "path": str(data.path),
            "split": VALIDATION,
            "index_sha256": hash_file(find_index(data.path)),
        },
        map=choice.map,
        rates=rates,
        video_id=videos["video_id"].tolist(),
        label=labels,
        fake_prob=probs,
        group=clusters.number,
        inputs={name: inputs[name].to_numpy(np.float64) for name in inputs},
        choice=choice.rows,
        reliability=reliability,
        notes=_list_notes(scorer, own, describe_clusters(clusters.kind, clusters.count)),
    )
    limits = sorted({*LIMITS, *rates})
    return calibration, cross_decide(probs, labels, clusters.number, limits, seed=seed)


def _list_notes(scorer: Ensemble, own: bool, clusters: str) -> tuple[str, ...]:
    kind = clusters.partition(" ")[2]
    notes = [
        f"the guarantee is for videos of new {kind}, drawn like the {clusters} of the calibration; "
        "it is a mean over calibrations and videos, not one for each kind of video"
    ]
    if own and any(member.checkpoint.startswith("best/") for member in scorer.members):
        notes.append(
            "the checkpoint was chosen on the same validation videos, so their scores may be "
            "slightly better than those of new videos"
        )
    return tuple(notes)
