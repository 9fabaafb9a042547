"""Evaluates a detector under corruptions of its inputs: `dfjax evaluate --robustness`."""

from __future__ import annotations

import dataclasses
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pandas as pd
from rich.console import RenderableType
from rich.table import Table

from dfjax.console import say, track
from dfjax.data.faces.h264_clips import encode_clips
from dfjax.data.index.records import find_index
from dfjax.data.store.frame_store import FrameStore
from dfjax.data.transforms.corruptions import CORRUPTIONS, ON_DEVICE, corrupt_clips
from dfjax.errors import UsageError, unknown
from dfjax.evaluation.figures.robustness_plot import plot_robustness
from dfjax.evaluation.metrics.robustness import measure_curve, tabulate_curves
from dfjax.evaluation.report.rows import format_interval, format_number
from dfjax.evaluation.scoring.score_table import tabulate
from dfjax.evaluation.scoring.scorer import DEVICE_KEYS, PredictStep, Scorer, make_predict_step
from dfjax.experiment import builders, run_data
from dfjax.files import atomic_path, hash_file, write_json
from dfjax.inference.detector import Detector
from dfjax.inference.ensemble import Ensemble, load_ensemble
from dfjax.inference.ensemble_evaluation import find_rows, make_title
from dfjax.inference.evaluation_data import need_crops, open_evaluation_data
from dfjax.json_files import read_mark
from dfjax.outputs import check_inside, check_outputs
from dfjax.results import Result
from dfjax.rngs import make_rng
from dfjax.shapes import Batch, HostBatch, Variables
from dfjax.store_workdirs import publish

FILES = ("robustness.json", "robustness.csv", "robustness.png")
KEPT = ("video_index", "position", "mask", "label", "weight")
"""Entries of a batch that its table is made of."""
CURVE = {
    "made_of": {str: (str, int, None)},
    "severity": str,
    "values": [float],
    "video_auc": [(float, None)],
    "video_auc_ci": [([float], None)],
    "area": (float, None),
    "area_ci": ([float], None),
    "loss_ci": ([float], None),
    "videos": int,
}
"""Schema of the file of one corruption, from which an interrupted call resumes."""


@dataclass(frozen=True)
class RobustnessReport(Result):
    """The AUC of a detector under corruptions.

    Attributes:
        curves: Curve of each corruption, with `severity` and `values`.
        left_out: Reason for each corruption that does not apply.
        out: Folder of the files.
    """

    curves: dict[str, dict[str, Any]]
    left_out: dict[str, str]
    out: Path

    def list_notes(self) -> list[str]:
        """Returns the corruptions that do not apply."""
        return [f"{name}: {reason}" for name, reason in self.left_out.items()]

    def describe(self) -> Sequence[RenderableType]:
        """Returns a table with the AUC at each level and the area."""
        table = Table(box=None, pad_edge=False)
        heads = ("AUC under", "none", *map(str, range(1, 6)), "area", "95 %", "loss 95 %")
        for name in heads:
            table.add_column(name, justify="left" if name == "AUC under" else "right")
        for name, curve in self.curves.items():
            numbers = map(format_number, (*curve["video_auc"], curve["area"]))
            table.add_row(
                name, *numbers, *map(format_interval, (curve["area_ci"], curve["loss_ci"]))
            )
        return [table, f"written to {self.out}: {' '.join(FILES)}"]

    def to_json(self) -> dict[str, Any]:
        """Returns the curves."""
        return {"robustness": self.curves, "left_out": self.left_out, "out": str(self.out)}


def evaluate_robustness(
    detector: str | os.PathLike[str] | Detector,
    *,
    corruptions: Sequence[str] = (),
    split: str = "test",
    index: str | os.PathLike[str] | None = None,
    out: str | os.PathLike[str] | None = None,
    checkpoint: str = "best",
    **scoring: Any,
) -> RobustnessReport:
    """Evaluates detectors on clips under corruptions, and writes curves to a folder.

    A corruption that an earlier call with the same checkpoint and data has finished is not
    repeated. Manipulations that the config holds back from training are left out.

    Args:
        detector: Workdir, safetensors file, fusion file, or a detector from `dfjax.load`.
        corruptions: Names of the corruptions; empty for all.
        split: Split whose videos are scored.
        index: Pack or index of crops; None for the data of the run.
        out: Folder for `robustness.json`, `.csv`, `.png` and the folder `robustness`; None for
            `eval/SPLIT` in the workdir.
        checkpoint: `best` or `last`, where `detector` is a workdir.
        **scoring: Further arguments of `load_ensemble`.

    Raises:
        UsageError: A corruption is unknown, the detector reads optical flow, there are no crops, or
            the split has no videos.
    """
    for name in corruptions:
        if name not in CORRUPTIONS:
            raise unknown("corruption", name, CORRUPTIONS)
    ensemble = load_ensemble(detector, checkpoint, **scoring)
    if ensemble.config.data.flow:
        raise UsageError("robustness needs a detector of frames: flow would not fit the clips")
    left_out = _find_inapplicable(corruptions or list(CORRUPTIONS), ensemble)
    names = [name for name in corruptions or CORRUPTIONS if name not in left_out]
    if not names:
        raise UsageError("; ".join(f"{name}: {reason}" for name, reason in left_out.items()))
    folder = Path(out) if out else ensemble.workdir / "eval" / split
    if not out:
        check_inside(folder, ensemble.workdir)
    check_outputs(folder / name for name in FILES)
    study = _open_study(ensemble, split, index, folder)
    made_of = {
        "checkpoint_sha256": ensemble.checkpoint_sha256,
        "index_sha256": hash_file(find_index(study.data.path)),
        "split": split,
        "videos": len(study.rows),
        "draws": ensemble.draws,
    }
    curves = _measure(study, folder, made_of, names)
    title = make_title(ensemble.config.name, split, study.data.index["dataset"].iloc[study.rows])
    write_json(folder / FILES[0], {"robustness": curves, "left_out": left_out, **made_of})
    with atomic_path(folder / FILES[1]) as partial:
        tabulate_curves(curves).to_csv(partial, index=False)
    plot_robustness(curves, folder / FILES[2], title=title)
    publish(detector, folder)
    return RobustnessReport(curves, left_out, folder)


def _find_inapplicable(names: Sequence[str], ensemble: Ensemble) -> dict[str, str]:
    """Returns the reason for each corruption that does not apply to the clips of a detector."""
    if "frame_drop" in names and ensemble.config.data.frames == 1:
        return {"frame_drop": "clips of one frame have none to drop"}
    return {}


def _open_study(
    ensemble: Ensemble, split: str, index: str | os.PathLike[str] | None, folder: Path
) -> Study:
    """Returns the study of the crops of a split."""
    member, own = ensemble.members[0], index is None
    config, sha256 = ensemble.config, member.data_sha256
    found = open_evaluation_data(config, member.workdir, index, folder, data_sha256=sha256)
    data = need_crops(found)
    rows = find_rows(data, member, split, own=own)
    held = data.index["method"].iloc[rows].isin(ensemble.config.data.holdout_methods)
    rows = rows[~held.to_numpy()]  # as in the entry `overall` of metrics.json
    if ensemble.fusion:
        ensemble.fusion.check_unseen(data.index.iloc[rows])
    return Study(_corrupt_scorer(ensemble), data, rows, split)


@dataclass
class Study:
    """Scores of one split under corruptions.

    Attributes:
        ensemble: Ensemble whose scorer corrupts the clips of a batch.
        data: Crops.
        rows: Positions of the videos in the index.
        split: Name of the split.
    """

    ensemble: Ensemble
    data: FrameStore
    rows: np.ndarray
    split: str

    def score(self, name: str, values: Sequence[float]) -> list[pd.DataFrame]:
        """Returns the predictions at each value; clips are decoded once for all of them."""
        found: list[list[Any]] = [[] for _ in values]
        size = self.ensemble.config.eval.batch_size
        batches = self._expand(name, values)
        for number, (batch, scores) in enumerate(self.ensemble.score(batches, batch_size=size)):
            kept = {key: batch[key] for key in KEPT}
            found[number % len(values)].append((kept, scores))
        unit = builders.score_unit(self.ensemble.config)
        tables = [tabulate(one, self.data.index, split=self.split, unit=unit) for one in found]
        return [self.ensemble.fuse_videos(table) for table in tables]

    def _expand(self, name: str, values: Sequence[float]) -> Iterator[HostBatch]:
        kind = list(ON_DEVICE).index("none" if name == "h264" else name)
        batches = run_data.eval_batches(self.data, self.ensemble.config, self.rows)
        for batch in track(batches, total=None, what=name):
            count = len(batch["mask"])
            for value in values:
                clips = batch["clip"]
                if name == "h264":
                    clips = encode_clips(clips, batch["mask"], crf=int(value))
                yield {
                    **batch,
                    "clip": clips,
                    "kind": np.full(count, kind, np.int32),
                    "value": np.full(count, value, np.float32),
                }


def _corrupt_scorer(ensemble: Ensemble) -> Ensemble:
    """Returns the ensemble with a scorer that corrupts clips on the device."""
    plain = [make_predict_step(m.apply, m.preprocess) for m in ensemble.members]
    steps = [corrupt_step(step) for step in ensemble.steps or plain]
    keys = (*DEVICE_KEYS, "video_index", "kind", "value")
    scorer = Scorer(*steps, keys=keys, separate=ensemble.fusion is not None)
    return dataclasses.replace(ensemble, scorer=scorer)


def corrupt_step(step: PredictStep) -> PredictStep:
    """Returns a step on batches with `kind` i32[B], `value` f32[B] and `video_index` i32[B].

    Random numbers of a clip depend on its video and position only, not on the other clips.
    """

    def corrupted(variables: Variables, batch: Batch) -> dict[str, jax.Array]:
        root = make_rng(jax.random.key(0), "corruptions", 0)

        def make_key(video: jax.Array, position: jax.Array) -> jax.Array:
            return jax.random.fold_in(jax.random.fold_in(root, video), position.max())

        keys = jax.vmap(make_key)(batch["video_index"], batch["position"])
        clips = corrupt_clips(batch["clip"], batch["mask"], batch["kind"][0], batch["value"], keys)
        return step(variables, {**batch, "clip": clips})

    return corrupted


def _measure(
    study: Study, folder: Path, made_of: Mapping[str, Any], names: Sequence[str]
) -> dict[str, dict[str, Any]]:
    """Returns the curves of corruptions by name."""
    curves: dict[str, dict[str, Any]] = {}
    clean: list[pd.DataFrame] = []
    for name in names:
        corruption, file = CORRUPTIONS[name], folder / "robustness" / f"{name}.json"
        settings = {**made_of, "values": ", ".join(f"{value:g}" for value in corruption.values)}
        done = read_mark(file, CURVE)
        if done and done["made_of"] == settings:
            curves[name] = {key: value for key, value in done.items() if key != "made_of"}
            continue
        if not clean:
            clean = _score_clean(study, len(names))
        tables = clean + study.score(name, corruption.values)
        curve = measure_curve(tables, study.data.index)
        curves[name] = {"severity": corruption.severity, "values": corruption.values, **curve}
        check_inside(file, folder)
        write_json(file, {"made_of": settings, **curves[name]})
    return curves


def _score_clean(study: Study, count: int) -> list[pd.DataFrame]:
    """Returns the predictions without a corruption, and says what all of them will cost."""
    began = time.monotonic()
    clean = study.score("none", [0.0])
    seconds, levels = time.monotonic() - began, len(next(iter(CORRUPTIONS.values())).values)
    say(
        f"robustness: {count} corruptions at {levels} levels are {count * levels} passes over "
        f"{len(clean[0])} clips; the first took {seconds:.0f} s, compilation included"
    )
    return clean
