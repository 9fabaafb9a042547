"""Evaluates a generator on pairs of fakes and real videos, beside two baselines.

`dfjax evaluate --defake` compares the fakes as they are, with matched histograms, and restored: how
close they are to the real video, how steady, and how a detector scores them.
"""

import copy
import dataclasses
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from jaxtyping import UInt8
from ml_collections import ConfigDict
from rich.console import RenderableType
from rich.table import Table

from dfjax.console import track
from dfjax.data.clips.pairs import find_targets
from dfjax.data.store.flow import compute_clip_flow
from dfjax.data.store.frame_store import FrameStore
from dfjax.evaluation.figures.preview_sheet import (
    PreviewRow,
    PreviewSection,
    PreviewTile,
    draw_preview,
)
from dfjax.evaluation.metrics.restoration_metrics import ARMS, compute_restoration
from dfjax.experiment import run_data
from dfjax.files import atomic_path, write_json
from dfjax.inference.detector import Detector, load
from dfjax.inference.ensemble_evaluation import open_index
from dfjax.inference.restoring.clip_measures import (
    Values,
    make_similarity,
    match_clips,
    measure_quality,
    score_clips,
)
from dfjax.inference.restoring.load_restorer import load_restorer
from dfjax.inference.restoring.restore_file import Restorer
from dfjax.inference.restoring.windows import Clips
from dfjax.outputs import check_outputs
from dfjax.results import Result
from dfjax.shapes import HostBatch

AnyPath = str | os.PathLike[str]
FILES = ("restoration.json", "restoration.csv", "sheet.png")
SHOWN = 8  # pairs on the sheet
AMPLIFIED = 4  # factor of the differences on the sheet


@dataclasses.dataclass(frozen=True)
class RestorationReport(Result):
    """The evaluation of a generator.

    Attributes:
        arms: Metrics of every arm with their intervals (`compute_restoration`).
        n: Numbers of `fakes`, `reals` and `groups`.
        split: Split that was evaluated.
        checkpoint: Checkpoint of the generator.
        detector: Checkpoint of the detector, or None.
        out: Folder of the files.
    """

    arms: dict[str, dict[str, Any]]
    n: dict[str, int]
    split: str
    checkpoint: str
    detector: str | None
    out: Path

    def describe(self) -> list[RenderableType]:
        """Returns the table of metrics by arm."""
        table = Table("", *self.arms)
        names = [name for name in self.arms["restored"] if not name.endswith("_ci")]
        for name in names:
            table.add_row(name, *(_show(values, name) for values in self.arms.values()))
        count = f"{self.n['fakes']} fakes, split {self.split}, 95 % intervals over groups"
        return [f"{count} ({self.n['groups']})", table, f"written to {self.out}: {' '.join(FILES)}"]

    def to_json(self) -> dict[str, Any]:
        """Returns the content of `restoration.json`."""
        return {**vars(self), "out": str(self.out)}

    def write_scores(self, form: str) -> list[Path]:
        """Returns no files: scores of restored fakes are of no use to other programs."""
        return []


def evaluate_restoration(
    generator: AnyPath | Restorer,
    detector: AnyPath | Detector | None = None,
    *,
    split: str | None = None,
    index: AnyPath | None = None,
    identity: AnyPath | Detector | None = None,
    checkpoint: str = "best",
    out: AnyPath | None = None,
) -> RestorationReport:
    """Evaluates a generator on the fakes of a split whose real videos are in the same split.

    A detector scores the fakes and the real videos; clips are then cut as for the detector.

    Args:
        generator: Workdir or weights file of a generator, or the generator.
        detector: Workdir or weights file of a detector, or the detector; None for none.
        split: Split whose videos are used; None for `test`.
        index: Pack, or the index in it; None for the data that the generator was trained on.
        identity: Workdir or weights file of a model whose embeddings tell how similar faces are.
        checkpoint: `best` or `last`, of the generator.
        out: Folder of the results; None for `eval/restoration` in the generator's workdir.

    Raises:
        UsageError: A workdir does not exist, or the split has no pairs.
    """
    generator = load_restorer(generator, checkpoint)
    workdir, split = Path(getattr(generator, "workdir", ".")), split or "test"
    folder = Path(out) if out else workdir / "eval" / "restoration"
    check_outputs([folder / name for name in FILES])
    data = _open(generator.config, workdir, index, folder)
    judge = load(detector) if isinstance(detector, str | os.PathLike) else detector
    face = load(identity) if isinstance(identity, str | os.PathLike) else identity
    rows: list[dict[str, Any]] = []
    shown: list[_Shown] = []
    for fields, pictures in _measure(generator, judge, face, data, split):
        rows += fields
        shown += pictures[: SHOWN - len(shown)]
    table = pd.DataFrame(rows)
    by = ["video_id", "group", "arm"]
    means = table.groupby(by, sort=False).mean(numeric_only=True).reset_index()
    fakes, reals = means[means["arm"] != "real"], means[means["arm"] == "real"]
    known = fakes.dropna(axis=1, how="all")
    report = RestorationReport(
        arms=compute_restoration(known, reals if judge is not None else None),
        n={
            "fakes": fakes["video_id"].nunique(),
            "reals": len(reals),
            "groups": means["group"].nunique(),
        },
        split=split,
        checkpoint=generator.checkpoint,
        detector=judge.checkpoint if judge else None,
        out=folder,
    )
    with atomic_path(folder / "restoration.csv") as partial:
        means.to_csv(partial, index=False)
    _draw(shown, folder / "sheet.png", report)
    write_json(folder / "restoration.json", report.to_json())
    return report


class _Shown(NamedTuple):
    """A pair on the sheet: the fake's id, a frame of each arm, and the measures of each arm."""

    video_id: str
    frames: dict[str, UInt8[np.ndarray, "H W 3"]]
    values: dict[str, dict[str, Any]]


def _open(config: ConfigDict, workdir: Path, index: AnyPath | None, out: Path) -> FrameStore:
    if index is None:
        return run_data.open_data(config, workdir)
    return open_index(Path(index), out)


def _measure(
    generator: Restorer,
    judge: Detector | None,
    face: Detector | None,
    data: FrameStore,
    split: str,
) -> Iterator[tuple[list[dict[str, Any]], list["_Shown"]]]:
    """Yields the rows and the pictures of each batch of pairs, with one clip per pair."""
    config = copy.deepcopy(generator.config)
    if judge is not None:
        for key in ("frames", "sampling", "stride"):
            config.data[key] = judge.config.data[key]
    config.data.eval_clips = 1
    config.data.flow = False  # computed from the targets, at any stride
    pairs = find_targets(data.index, run_data.split_rows(data, config, split))
    pairs = pairs[pairs[:, 0] != pairs[:, 1]]
    batches = run_data.eval_batches(data, config, pairs[:, 0], sources=pairs[:, 1])
    similarity = make_similarity(face) if face is not None else None
    ids, groups = data.index["video_id"].to_numpy(), data.index["group"].to_numpy()
    done = 0
    for batch in track(batches, total=None, what="restoring"):
        arms = _restore(generator, batch)
        columns = _measure_arms(arms, batch, judge, similarity)
        rows, pictures = [], []
        for place in np.flatnonzero(batch["weight"] > 0).tolist():
            real, fake = pairs[done]
            done += 1
            for arm, values in columns.items():
                row = real if arm == "real" else fake
                numbers = {name: float(each[place]) for name, each in values.items()}
                rows.append({"video_id": ids[row], "group": groups[row], "arm": arm, **numbers})
            middle = int(batch["mask"][place].sum()) // 2
            frames = {arm: clips[place, middle] for arm, clips in arms.items()}
            pictures.append(_Shown(ids[fake], frames, {r["arm"]: r for r in rows[-len(arms) :]}))
        yield rows, pictures


def _restore(generator: Restorer, batch: HostBatch) -> dict[str, Clips]:
    """Returns the clips of every arm, and the real ones."""
    source, target = batch["source"], batch["clip"]
    return {
        "unchanged": source,
        "histogram": match_clips(source, target),
        "restored": np.asarray(generator.restore(source)),
        "real": target,
    }


def _measure_arms(
    arms: dict[str, Clips],
    batch: HostBatch,
    judge: Detector | None,
    similarity: Callable[[Clips, Clips, np.ndarray], Values] | None,
) -> dict[str, dict[str, Values]]:
    """Returns the measures of the clips of every arm; real clips only have a score."""
    target, mask = batch["clip"], batch["mask"]
    flow = compute_clip_flow(target, mask)
    columns: dict[str, dict[str, Values]] = {}
    for arm, clips in arms.items():
        found: dict[str, Any] = {}
        if arm != "real":
            found = dict(measure_quality(clips, target, mask, flow))
            if similarity is not None:
                found["identity_similarity"] = similarity(clips, target, mask)
        if judge is not None:
            found["fake_prob"] = score_clips(judge, clips, mask)
        columns[arm] = {name: np.asarray(values, np.float64) for name, values in found.items()}
    return columns


def _draw(shown: list[_Shown], path: Path, report: RestorationReport) -> None:
    """Writes the sheet: the middle frame of every arm, the real one, and what is left to it."""
    rows = []
    for video_id, frames, values in shown:
        tiles = [
            PreviewTile(
                frames[arm], _caption(arm, values[arm]), {"unchanged": 1.0, "real": 0.0}.get(arm)
            )
            for arm in (*ARMS, "real")
        ]
        left = AMPLIFIED * np.abs(frames["restored"].astype(np.int32) - frames["real"])
        picture = np.minimum(left, 255).astype(np.uint8)
        tiles.append(PreviewTile(picture, f"difference x {AMPLIFIED}"))
        rows.append(PreviewRow(video_id, "", tiles))
    draw_preview(
        [PreviewSection("middle frames; PSNR to the real one, P(fake)", rows)],
        path,
        title=f"Restored fakes, split {report.split}",
        subtitle=f"PSNR {_show(report.arms['restored'], 'psnr_gain')} dB above that of the fakes",
    )


def _caption(arm: str, values: dict[str, Any]) -> str:
    numbers = [f"{values['psnr']:.1f}"] if "psnr" in values else []
    numbers += [f"{values['fake_prob']:.2f}"] if "fake_prob" in values else []
    return f"{arm} {', '.join(numbers)}"


def _show(values: dict[str, Any], name: str) -> str:
    """Returns a metric with its interval as text."""
    value, interval = values.get(name), values.get(f"{name}_ci")
    if value is None:
        return "–"
    shown = f"{value:.3f}"
    return shown if interval is None else f"{shown} ({interval[0]:.3f} to {interval[1]:.3f})"
