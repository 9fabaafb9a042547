"""Evaluates a generator on pairs of fakes and real videos, beside two baselines.

`dfjax evaluate --defake` compares the fakes as they are, with matched histograms, and restored: how
close they are to the real video, how steady, and how a detector scores them.
"""

import dataclasses
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from jaxtyping import UInt8
from rich.console import RenderableType
from rich.table import Table

from dfjax.data.store.crop_arrays import CropArrays, make_crop_arrays
from dfjax.evaluation.figures.preview_sheet import (
    PreviewRow,
    PreviewSection,
    PreviewTile,
    draw_preview,
)
from dfjax.evaluation.metrics.restoration_metrics import ARMS, compute_restoration
from dfjax.files import atomic_path, write_json
from dfjax.inference.detector import Detector, load
from dfjax.inference.evaluation_data import open_evaluation_data
from dfjax.inference.restoring.load_restorer import load_restorer
from dfjax.inference.restoring.restore_file import Restorer
from dfjax.inference.restoring.restored_pairs import PairedVideos, restore_pairs
from dfjax.inference.restoring.video_measures import (
    Values,
    make_similarity,
    measure_quality,
    score_videos,
)
from dfjax.outputs import check_outputs
from dfjax.results import Result

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

    Every fake is restored whole, as files are. PSNR, SSIM and the warp error are means over all of
    its frames that its real video has too. A detector scores the clips that it is evaluated on.

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
    data = open_evaluation_data(generator.config, workdir, index, folder)
    judge = load(detector) if isinstance(detector, str | os.PathLike) else detector
    face = load(identity) if isinstance(identity, str | os.PathLike) else identity
    rows: list[dict[str, Any]] = []
    shown: list[_Shown] = []
    similarity = make_similarity(face) if face is not None else None
    for part in restore_pairs(generator, data, split):
        columns = _measure_arms(part, judge, similarity)
        rows += _list_rows(part, columns)
        shown += _choose(part, columns)[: SHOWN - len(shown)]
    table = pd.DataFrame(rows)
    by = ["video_id", "group", "arm"]
    means = table.groupby(by, sort=False).mean(numeric_only=True).reset_index()
    fakes, reals = means[means["arm"] != "real"], means[means["arm"] == "real"]
    known = fakes.dropna(axis=1, how="all")
    count = {"fakes": fakes["video_id"].nunique(), "reals": len(reals)}
    report = RestorationReport(
        arms=compute_restoration(known, reals if judge is not None else None),
        n=count | {"groups": means["group"].nunique()},
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


def _measure_arms(
    part: PairedVideos,
    judge: Detector | None,
    similarity: Callable[[CropArrays, CropArrays], Values] | None,
) -> dict[str, dict[str, Values]]:
    """Returns the measures of the videos of every arm; real ones only have a score."""
    stores = {
        arm: make_crop_arrays(part.index, part.numbers, crops) for arm, crops in part.arms.items()
    }
    columns: dict[str, dict[str, Values]] = {}
    for arm, store in stores.items():
        found: dict[str, Values] = {}
        if arm != "real":
            found = measure_quality(part.arms[arm], part.arms["real"])
            if similarity is not None:
                found["identity_similarity"] = similarity(store, stores["real"])
        if judge is not None:
            found["fake_prob"] = score_videos(judge, store)
        columns[arm] = found
    return columns


def _list_rows(part: PairedVideos, columns: dict[str, dict[str, Values]]) -> list[dict[str, Any]]:
    """Returns a row per video and arm, with its measures."""
    fields = {name: part.index[name].tolist() for name in ("video_id", "group")}
    rows = []
    for place, group in enumerate(fields["group"]):
        for arm, values in columns.items():
            name = part.real_ids[place] if arm == "real" else fields["video_id"][place]
            numbers = {name: float(each[place]) for name, each in values.items()}
            rows.append({"video_id": name, "group": group, "arm": arm, **numbers})
    return rows


def _choose(part: PairedVideos, columns: dict[str, dict[str, Values]]) -> list[_Shown]:
    """Returns the middle frames of the first pairs, for the sheet."""
    shown = []
    for place, video_id in enumerate(part.index["video_id"].iloc[:SHOWN]):
        middle = len(part.numbers[place]) // 2
        frames = {arm: crops[place][middle] for arm, crops in part.arms.items()}
        values = {
            arm: {name: float(each[place]) for name, each in found.items()}
            for arm, found in columns.items()
        }
        shown.append(_Shown(video_id, frames, values))
    return shown


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
        [PreviewSection("middle frames; PSNR of the video, P(fake)", rows)],
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
