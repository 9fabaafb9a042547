"""Ablation studies: trains, evaluates and compares the rows of a table (`dfjax ablate`).

Every row and seed has an ordinary workdir, WORKDIR/ROW/seedK. All rows use the same videos; rows
with a pack of their own must have the same test videos. Each row is evaluated once on the test
split, with the checkpoint that was best on the validation split.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from ml_collections import ConfigDict
from rich.console import RenderableType
from rich.markdown import Markdown

from dfjax.config import override
from dfjax.console import say
from dfjax.data.index.records import find_index, read_index
from dfjax.data.index.splits import split_by_round
from dfjax.errors import RunError, UsageError
from dfjax.evaluation.figures.ablation_report import make_markdown, summarise_rows, write_report
from dfjax.experiment import workdir as workdirs
from dfjax.results import Result
from dfjax.studies.ablation_table import Row, Table, load_table, name_folder
from dfjax.studies.run_series import (
    Metrics,
    Summary,
    check_mlflow,
    check_study_folder,
    evaluate_run,
    share_synthetic,
    train_run,
)
from dfjax.training.interrupt import Interrupt
from dfjax.training.metric_writer import read_jsonl

Line = dict[str, Any]


@dataclass(frozen=True)
class Ablation(Result):
    """The result of an ablation study.

    Attributes:
        title: Title with the config and the data sets.
        workdir: Folder with table.md, table.csv, table.json, table.png and a folder per row.
        rows: Results of every row and ensemble (`summarise_rows`).
        markdown: Table as Markdown.
    """

    title: str
    workdir: Path
    rows: list[dict[str, Any]]
    markdown: str

    @property
    def has_findings(self) -> bool:
        """Whether a row could not be trained or evaluated."""
        return any(row["errors"] for row in self.rows)

    def describe(self) -> list[RenderableType]:
        """Returns the table, and a line that names the files."""
        files = f"written to {self.workdir}: table.md table.csv table.json table.png"
        return [Markdown(self.markdown), files]

    def to_json(self) -> dict[str, Any]:
        """Returns the rows as `dfjax ablate --json` prints them."""
        return {"title": self.title, "workdir": str(self.workdir), "rows": self.rows}


def default_workdir(spec: str) -> Path:
    """Returns runs/ablate_NAME, or runs/ablate_NAME_VARIANT, for the table `spec`."""
    name, _, variant = spec.partition(":")
    return Path("runs", "_".join(filter(None, ["ablate", Path(name).stem, variant])))


def ablate(
    spec: str,
    overrides: Sequence[str] = (),
    *,
    workdir: Path,
    seeds: int = 1,
    packs: Mapping[str, str | Path] | None = None,
    accept: Sequence[str] = (),
    interrupt: Interrupt | None = None,
) -> Ablation:
    """Trains and evaluates the unfinished rows of a table, and writes and returns the results.

    Args:
        spec: File or name of the table, optionally with `:VARIANT` of its config.
        overrides: Overrides for all rows, as for `load_config`. The changes of a row override them.
        workdir: Folder of the study, with a folder for every row.
        seeds: Number of runs per row. Their seeds are that of the config and the following ones.
        packs: Paths, by name, of other crops of the same videos that rows need.
        accept: Codes of audit errors that are accepted.
        interrupt: Object through which a signal handler requests the runs to stop.

    Raises:
        UsageError: The table, a config or the folder is invalid.
        Stopped: A stop was requested, and everything is saved.
    """
    if seeds < 1:
        raise UsageError(f"seeds must be at least 1, not {seeds}")
    table = load_table(spec, overrides, packs)
    lines, datasets = run_table(table, workdir, seeds=seeds, accept=accept, interrupt=interrupt)
    title = f"{table.title} · {table.spec} · {', '.join(datasets)} data"
    rows = summarise_rows(lines)
    notes = [f"{row} is left out: {reason}" for row, reason in table.left_out.items()]
    write_report(workdir, lines, rows, title, notes)
    return Ablation(title, workdir, rows, make_markdown(rows, title, notes))


def run_table(
    table: Table,
    workdir: Path,
    *,
    seeds: int = 1,
    accept: Sequence[str] = (),
    interrupt: Interrupt | None = None,
) -> tuple[pd.DataFrame, list[str]]:
    """Trains and evaluates the unfinished rows; returns a line per row and seed, and the data sets.

    The columns are `row`, `change`, `seed`, `parameters`, `seconds`, `clips_per_s`, `best_epoch`,
    the metrics of the test split, `unseen` (the mean video AUC over methods held back) and `error`
    (the reason why the row has no results, or empty).

    Args:
        table: Table with the rows.
        workdir: Folder of the study, with a folder for every row.
        seeds: Number of runs per row.
        accept: Codes of audit errors that are accepted.
        interrupt: Object through which a signal handler requests the runs to stop.

    Raises:
        UsageError: The folder is the workdir of a single run, or rows use different data.
        Stopped: A stop was requested, and everything is saved.
    """
    check_study_folder(workdir)
    check_mlflow(row.config for row in table.rows)
    lines: list[Line] = []
    datasets: set[str] = set()
    summaries: dict[Path, Summary] = {}
    with workdirs.locked(workdir):
        data = share_data(table, workdir)
        reference = _find_reference(table, data)
        for row in table.rows:
            for seed in range(row.config.seed, row.config.seed + seeds):
                line: Line = {"row": row.name, "change": " ".join(row.change), "seed": seed}
                run = workdir / row.trained_as / f"seed{seed}"
                say(f"{row.name}, seed {seed}: {run}")
                settings = [f"seed={seed}", *([] if row.own_pack else data)]
                try:
                    if run not in summaries:
                        config = override(row.config, settings)
                        if row.own_pack:
                            check_test_videos(config, reference)
                        summaries[run] = train_run(config, run, accept, interrupt)
                    result = _evaluate(row, run, workdir, summaries[run])
                except (UsageError, RunError) as error:
                    say(f"{row.name}: {error}")
                    lines.append(line | {"error": str(error)})
                    continue
                lines.append(line | _make_line(summaries[run], result, run))
                datasets |= set(result["by_dataset"])
        lines += _evaluate_ensembles(table, workdir, seeds, lines)
    return pd.DataFrame([{"error": "", **line} for line in lines]), sorted(datasets)


def _evaluate(row: Row, run: Path, workdir: Path, summary: Summary) -> Metrics:
    out = workdir / row.folder / run.name / "eval" / "test"
    return evaluate_run(run, out=out, options=row.evaluation, reuse=summary["status"] == "complete")


def share_data(table: Table, workdir: Path) -> list[str]:
    """Returns the override by which all rows share a synthetic set, which is generated if missing.

    Rows with their own pack are left out, since it contains other crops of the same videos. The
    result is empty if the rows name their data.

    Args:
        table: Table with the rows.
        workdir: Folder of the study.

    Raises:
        UsageError: Rows use different data, so that their results could not be compared.
    """
    configs = [row.config for row in table.rows if not row.own_pack]
    if not configs:
        return []
    if len({(c.data.path, c.data.features, str(c.data.synthetic)) for c in configs}) > 1:
        raise UsageError(f"{table.title}: rows with different data cannot be compared")
    # The shared set has optical flow if any row reads it, and masks likewise.
    config = next((config for config in configs if config.data.flow), configs[0])
    config = override(config, {"loss.mask": max(c.loss.mask for c in configs)})
    return share_synthetic(config, workdir)


def _find_reference(table: Table, data: Sequence[str]) -> ConfigDict:
    """Returns a config with the data that the rows share, or that of the first row's own pack."""
    shared = [override(row.config, data) for row in table.rows if not row.own_pack]
    return shared[0] if shared else table.rows[0].config


def check_test_videos(config: ConfigDict, reference: ConfigDict) -> None:
    """Checks that a row with a pack of its own is tested on the videos of the other rows.

    Args:
        config: Config of the row.
        reference: Config of a row to compare it with.

    Raises:
        UsageError: The test split of its pack has other videos, or other labels of them.
    """
    own, expected = _read_test_videos(config), _read_test_videos(reference)
    if own != expected:
        example = min(own ^ expected)[0]
        raise UsageError(
            f"the test split of {config.data.path} is not that of the other rows: "
            f"{len(own - expected)} of its videos are not in theirs, and {len(expected - own)} of "
            f"their {len(expected)} videos are not in it, or have another label (such as {example})"
        )


def _read_test_videos(config: ConfigDict) -> set[tuple[str, int]]:
    index = read_index(find_index(config.data.features or config.data.path))
    split = split_by_round(index, config.data.fold) if config.data.fold else index["split"]
    test = index[np.asarray(split) == "test"]
    return set(zip(test["video_id"], test["label"].astype(int)))


def _evaluate_ensembles(
    table: Table, workdir: Path, seeds: int, lines: Sequence[Line]
) -> list[Line]:
    """Returns a line per ensemble and seed."""
    done = {(line["row"], line["seed"]) for line in lines if not line.get("error")}
    found = []
    by_name = {row.name: row for row in table.rows}
    for name, members in table.ensembles.items():
        rows = [by_name[member] for member in members]
        for seed in range(rows[0].config.seed, rows[0].config.seed + seeds):
            line: Line = {"row": name, "change": " + ".join(members), "seed": seed}
            if any((member, seed) not in done for member in members):
                found.append(line | {"error": "a member has failed"})
                continue
            first, *others = [workdir / row.trained_as / f"seed{seed}" for row in rows]
            out = workdir / "ensembles" / name_folder(name) / f"seed{seed}"
            result = evaluate_run(first, out=out, options={"ensemble": others})
            metrics = {k: v for k, v in result["overall"].items() if not isinstance(v, dict)}
            found.append(line | metrics | {"unseen": mean_unseen(result)})
    return found


def _make_line(summary: Summary, result: Metrics, run: Path) -> Line:
    log = pd.DataFrame(read_jsonl(run / "metrics.jsonl"))
    speed = log.loc[log["split"] == "train", "clips_per_s"].median()
    earlier = [pd.read_csv(path)["seconds"].max() for path in run.glob("phase*/history.csv")]
    return {
        "parameters": summary["parameters"],
        "seconds": summary["seconds"] + sum(earlier),  # of all phases
        "best_epoch": summary["best_epoch"],
        "clips_per_s": float(speed),
        **result["overall"],
        "unseen": mean_unseen(result),
    }


def mean_unseen(result: Metrics) -> float | None:
    """Returns the mean video AUC over methods held back from training; None if there are none.

    Args:
        result: Content of `metrics.json`.
    """
    known = [
        m["video_auc"] for m in result["unseen_methods"].values() if m["video_auc"] is not None
    ]
    return sum(known) / len(known) if known else None
