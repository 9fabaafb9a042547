"""Trains and evaluates the rows of a table: `dfjax ablate`.

Row and seed are an ordinary workdir, DIR/ROW/seedK. All rows see the same data and evaluate once,
with the checkpoint that validation chose, on the test split.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from rich.console import Console

from dfjax.config import override
from dfjax.errors import RunError, UsageError
from dfjax.evaluation.report_view import Report
from dfjax.experiment import run_data
from dfjax.experiment import workdir as workdirs
from dfjax.experiment.train import run_training
from dfjax.inference.evaluate import evaluate as evaluate_detector
from dfjax.studies.ablation_table import Table, name_folder
from dfjax.studies.run_series import evaluate_once
from dfjax.training.interrupt import Interrupt

Train = Callable[..., dict[str, Any]]
Evaluate = Callable[..., Report]


def run_table(
    table: Table,
    workdir: Path,
    *,
    seeds: int = 1,
    accept: Sequence[str] = (),
    interrupt: Interrupt | None = None,
    train: Train = run_training,
    evaluate: Evaluate = evaluate_detector,
) -> tuple[pd.DataFrame, list[str]]:
    """Returns a line per row and seed, and the data sets, after training what is not there yet.

    Columns: `row`, `change`, `seed`, `parameters`, `seconds`, `clips_per_s`, `best_epoch`, the
    metrics of the test split, `unseen` (the mean video AUC over methods held back) and `error`
    (empty, or why there is nothing else).

    Args:
        table: what to train.
        workdir: gets a folder per row.
        seeds: runs per row; the config's seed and those after it.
        accept: codes of audit errors to train with all the same.
        interrupt: Where a signal handler asks the runs to stop.
        train: of one workdir.
        evaluate: of one workdir.

    Raises:
        UsageError: the workdir belongs to a single run.
        Stopped: a signal came; everything is saved.
    """
    if (workdir / "config.json").exists():
        raise UsageError(f"{workdir} is the workdir of a single run; use a new workdir")
    lines: list[dict[str, Any]] = []
    datasets: set[str] = set()
    with workdirs.locked(workdir):
        data = share_data(table, workdir)
        for row in table.rows:
            for number in range(seeds):
                folder = workdir / row.folder / f"seed{row.config.seed + number}"
                _say(f"{row.name}, seed {row.config.seed + number}: {folder}")
                config = override(row.config, [f"seed={row.config.seed + number}", *data])
                line: dict[str, Any] = {
                    "row": row.name, "change": " ".join(row.change), "seed": config.seed
                }  # fmt: skip
                try:
                    summary = train(config, folder, accept, interrupt=interrupt)
                    result = evaluate_once(folder, summary, evaluate)
                    lines.append(line | _describe(summary, result, folder))
                    datasets |= set(result["by_dataset"])
                except (UsageError, RunError) as error:
                    _say(f"{row.name}: {error}")
                    lines.append(line | {"error": str(error)})
        lines += _ensembles(table, workdir, seeds, evaluate, lines)
    return pd.DataFrame([{"error": "", **line} for line in lines]), sorted(datasets)


def share_data(table: Table, workdir: Path) -> list[str]:
    """Returns the override by which all rows use one data set; the synthetic one is made first.

    Raises:
        UsageError: rows read different data, so that their figures could not be compared.
    """
    configs = [row.config for row in table.rows]
    if len({(c.data.path, c.data.features, str(c.data.synthetic)) for c in configs}) > 1:
        raise UsageError(f"{table.title}: rows on different data cannot be compared")
    first = configs[0].data
    if first.path or first.features or not first.synthetic.videos:
        return []
    # One set for all rows: with flow as soon as one of them reads it.
    maker = next((config for config in configs if config.data.flow), configs[0])
    return [f"data.path={run_data.synthetic_pack(maker, workdir / 'data').resolve()}"]


def _ensembles(
    table: Table, workdir: Path, seeds: int, evaluate: Evaluate, lines: Sequence[dict[str, Any]]
) -> list[dict[str, Any]]:
    """A line per ensemble and seed, of rows that have all been trained."""
    done = {(line["row"], line["seed"]) for line in lines if not line.get("error")}
    found = []
    by_name = {row.name: row for row in table.rows}
    for name, members in table.ensembles.items():
        for number in range(seeds):
            rows = [by_name[member] for member in members]
            seed = rows[0].config.seed + number
            line = {"row": name, "change": " + ".join(members), "seed": seed}
            if any((member, seed) not in done for member in members):
                found.append(line | {"error": "a member has failed"})
                continue
            first, *others = [workdir / row.folder / f"seed{seed}" for row in rows]
            out = workdir / "ensembles" / name_folder(name) / f"seed{seed}"
            result = evaluate(first, split="test", ensemble=others, out=out).metrics
            metrics = {k: v for k, v in result["overall"].items() if not isinstance(v, dict)}
            found.append(line | metrics | {"unseen": mean_unseen(result)})
    return found


def _describe(summary: dict[str, Any], result: dict[str, Any], folder: Path) -> dict[str, Any]:
    log = pd.read_json(folder / "metrics.jsonl", lines=True)
    speed = log.loc[log["split"] == "train", "clips_per_s"].median()
    earlier = [pd.read_csv(path)["seconds"].max() for path in folder.glob("phase*/history.csv")]
    return {
        "parameters": summary["parameters"],
        "seconds": summary["seconds"] + sum(earlier),  # of all phases
        "best_epoch": summary["best_epoch"],
        "clips_per_s": float(speed),
        **result["overall"],
        "unseen": mean_unseen(result),
    }


def mean_unseen(result: dict[str, Any]) -> float | None:
    """Returns the mean video AUC over the methods never trained on; None where there is none."""
    known = [
        m["video_auc"] for m in result["unseen_methods"].values() if m["video_auc"] is not None
    ]
    return sum(known) / len(known) if known else None


def _say(text: str) -> None:
    Console(stderr=True, highlight=False, soft_wrap=True).print(text)
