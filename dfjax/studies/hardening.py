"""Hardens a detector against a generator: `dfjax harden`.

The generator restores the training fakes, and the detector is fine-tuned with them as extra fakes,
round after round. Each round is an ordinary run in WORKDIR/roundK that starts from the one before.
After each, the AUC on the test fakes is measured as they are and as the generator restores them,
all of them compressed as often as the training data.
"""

import copy
import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from ml_collections import ConfigDict
from rich.console import RenderableType
from rich.table import Table

from dfjax import FAKE
from dfjax.config import override
from dfjax.config_overrides import Overrides
from dfjax.console import say
from dfjax.data.store.pack import Pack, open_pack
from dfjax.errors import UsageError
from dfjax.evaluation.metrics.restoration_metrics import compute_restoration
from dfjax.evaluation.scoring.score_table import split_faces
from dfjax.evaluation.videos.aggregation import aggregate, clean
from dfjax.experiment import workdir as workdirs
from dfjax.experiment.run_data import reads_masks
from dfjax.files import record_settings, write_json
from dfjax.inference.detector import load
from dfjax.inference.evaluate import evaluate
from dfjax.inference.evaluation_data import open_run_data
from dfjax.inference.generator import load_generator
from dfjax.json_files import read_mark
from dfjax.outputs import check_outputs
from dfjax.results import Result
from dfjax.studies.restored_pack import METHOD, make_restored_pack
from dfjax.studies.run_series import check_mlflow, train_run
from dfjax.training.interrupt import Interrupt

TABLE = "harden.json"
EPOCHS = 3  # of a round
SHRINK = 0.3  # of the learning rate, since training goes on from a trained detector
EXPECTED = ("near_duplicate_across_splits", "shortcut_probe")
"""Codes of audit errors that are accepted in every round, since one generator has smoothed all of
the restored fakes. The data without them were audited when the detector was trained."""
METRICS = ("auc_plain", "auc_restored", "flip_rate")
MEASURED = {
    "rounds": [
        {"round": int, "workdir": str, "checkpoint_sha256": str}
        | {name: (float, None) for name in METRICS}
        | {f"{name}_ci": ([float], None) for name in METRICS}
    ]
}
"""Schema of `harden.json`, as far as it is read."""


@dataclasses.dataclass(frozen=True)
class Hardening(Result):
    """The result of hardening a detector.

    Attributes:
        rounds: One object per round, from 0 for the detector that was given: `round`, `workdir`,
            `checkpoint_sha256`, and `auc_plain`, `auc_restored` and `flip_rate` with their
            intervals `_ci`. The flip rate is the share of the detected plain fakes that are called
            real once restored.
        detector: Detector that was given.
        generator: Generator that was given.
        workdir: Folder of the rounds and of `harden.json`.
    """

    rounds: list[dict[str, Any]]
    detector: str
    generator: str
    workdir: Path

    def describe(self) -> list[RenderableType]:
        """Returns the table of rounds."""
        table = Table("round", "AUC, plain fakes", "AUC, restored fakes", "flip rate")
        for row in self.rounds:
            cells = [_show(row, name) for name in METRICS]
            table.add_row(str(row["round"]), *cells)
        return [table, f"written to {self.workdir / TABLE}"]


def harden(
    detector: str | Path,
    generator: str | Path,
    overrides: Overrides = (),
    *,
    workdir: str | Path,
    rounds: int = 1,
    accept: Sequence[str] = (),
    interrupt: Interrupt | None = None,
) -> Hardening:
    """Fine-tunes a detector on restored fakes; the same call resumes, and skips finished rounds.

    The generator does not change, so that the fakes are restored once.

    Args:
        detector: Workdir of the detector, or its weights file. The header of a file names the data
            without their folder: the current folder has to contain them.
        generator: Workdir of the generator.
        overrides: Values of the detector's config for the rounds, by key or as texts. By default
            they have `EPOCHS` epochs, and `SHRINK` times the learning rate.
        workdir: Folder of the study.
        rounds: Number of rounds.
        accept: Codes of audit errors that are accepted, in addition to `EXPECTED`.
        interrupt: Object through which a signal handler requests the runs to stop.

    Raises:
        UsageError: A workdir or setting is invalid, the detector reads stored features, or its file
            does not say where its data are.
        Stopped: A stop was requested, and everything is saved.
    """
    if rounds < 1:
        raise UsageError(f"rounds must be at least 1, not {rounds}")
    workdir = Path(workdir)
    first, restorer = load(detector), load_generator(generator)
    data = _open_data(first.config, first.workdir, first.data_sha256)
    check_outputs([workdir / TABLE])
    _check_round(make_round_config(first.config, Path(detector), data.path, overrides), data)
    with workdirs.locked(workdir):
        record_settings(
            workdir / "settings.json",
            {"detector": first.checkpoint_sha256, "generator": restorer.checkpoint_sha256},
            content="rounds",
        )
        held = first.config.data.holdout_methods
        restored = make_restored_pack(data, restorer, workdir / "restored", holdout=held)
        known = (read_mark(workdir / TABLE, MEASURED) or {"rounds": []})["rounds"]
        table: list[dict[str, Any]] = []
        source = Path(detector)
        for number in range(rounds + 1):
            if number:
                run = workdir / f"round{number}"
                say(f"round {number} of {rounds}: {run}")
                config = make_round_config(first.config, source, restored, overrides)
                train_run(config, run, sorted({*accept, *EXPECTED}), interrupt)
                source = run
            table.append(_measure(number, source, restored, workdir, known))
            result = Hardening(table, str(detector), str(generator), workdir)
            write_json(workdir / TABLE, result.to_json())
    return result


def _open_data(config: ConfigDict, workdir: Path, data_sha256: str) -> Pack:
    """Returns the data of a detector, after checking that it can be hardened."""
    remedy = "give the workdir of the detector"
    data = open_run_data(config, workdir, data_sha256, remedy=remedy)
    if not isinstance(data, Pack):
        raise UsageError("harden needs a detector that reads frames, not stored features")
    if config.data.flow:
        raise UsageError("harden is for detectors without optical flow: restored crops have none")
    return data


def _check_round(config: ConfigDict, data: Pack) -> None:
    """Checks that a round needs no masks of the data, and that its MLflow server answers."""
    if reads_masks(data, config):
        raise UsageError(
            "harden does not learn masks of a data set, as restored crops have none: override "
            f"loss.mask=0 and model.{config.model.name}.mask_head=False"
        )
    check_mlflow([config])


def make_round_config(
    config: ConfigDict, source: Path, pack: Path, overrides: Overrides = ()
) -> ConfigDict:
    """Returns the config of a round.

    Args:
        config: Config of the detector.
        source: Detector that the round starts from.
        pack: Pack with the restored fakes.
        overrides: Overrides by the user.
    """
    config = copy.deepcopy(config)
    config.phases = ()
    settings = {
        "data.path": str(pack.resolve()),
        "train.init_from": str(source.resolve()),
        "train.epochs": EPOCHS,
        "optimizer.learning_rate": SHRINK * config.optimizer.learning_rate,
    }
    return override(override(config, settings), overrides)


def _measure(
    number: int, detector: Path, restored: Path, workdir: Path, known: list[dict[str, Any]]
) -> dict[str, Any]:
    """Returns the row of a round, which is one of `known` if that is of the same checkpoint."""
    judge = load(detector)
    for row in known:
        if (row["round"], row["checkpoint_sha256"]) == (number, judge.checkpoint_sha256):
            return row
    out = workdir / "eval" / f"round{number}"
    report = evaluate(judge, split="test", index=restored, out=out, calibrated=False)
    arms = compare_fakes(report.predictions, open_pack(restored).index)
    plain, after = arms["unchanged"], arms["restored"]
    made = {"round": number, "workdir": str(detector), "checkpoint_sha256": judge.checkpoint_sha256}
    found = zip(METRICS, (plain, after, after), ("auc", "auc", "flip_rate"))
    for name, arm, metric in found:
        made |= {name: arm[metric], f"{name}_ci": arm[f"{metric}_ci"]}
    return made


def compare_fakes(predictions: pd.DataFrame, index: pd.DataFrame) -> dict[str, dict[str, Any]]:
    """Returns the metrics of the arms `unchanged` and `restored` (`compute_restoration`).

    Args:
        predictions: Predictions of a split of a pack of `make_restored_pack`.
        index: Index of the pack.
    """
    videos = aggregate(clean(predictions))
    groups = dict(zip(split_faces(index)["video_id"], index["group"]))
    videos["group"] = videos["video_id"].map(groups)
    fakes = videos[videos["label"] == FAKE]
    arm = (fakes["method"] == METHOD).map({True: "restored", False: "unchanged"})
    plain = fakes["video_id"].str.removesuffix(f"/{METHOD}")
    fakes = fakes.assign(arm=arm, video_id=plain)
    both = fakes.groupby("video_id")["arm"].transform("nunique") == 2  # finite scores of both
    return compute_restoration(fakes[both], videos[videos["label"] != FAKE])


def _show(row: dict[str, Any], name: str) -> str:
    value, interval = row[name], row[f"{name}_ci"]
    if value is None:
        return "–"
    return f"{value:.3f}" + (f" ({interval[0]:.3f} to {interval[1]:.3f})" if interval else "")
