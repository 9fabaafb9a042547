"""Ablation: trains and evaluates the rows of a table and compares them (`dfjax ablate`).

Every row and seed is an ordinary workdir, WORKDIR/ROW/seedK. All rows use the same videos, and each
is evaluated once on the test split, with the checkpoint that validation chose.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from dfjax.config import override
from dfjax.console import say
from dfjax.errors import RunError, UsageError
from dfjax.evaluation.ablation_report import make_markdown, summarise, write_report
from dfjax.experiment import workdir as workdirs
from dfjax.studies.ablation_table import Row, Table, load_table, name_folder
from dfjax.studies.run_series import (
    Metrics,
    Summary,
    check_study_folder,
    evaluate_run,
    share_synthetic,
    train_run,
)
from dfjax.training.interrupt import Interrupt

Line = dict[str, Any]


class Ablation(NamedTuple):
    """The result of a table.

    Attributes:
        title: Heading with the config and the data sets.
        workdir: Folder with table.md, table.csv, table.json, table.png and a folder per row.
        rows: Figures of every row and ensemble (`summarise`).
        markdown: The table as text.
    """

    title: str
    workdir: Path
    rows: list[dict[str, Any]]
    markdown: str

    @property
    def failed(self) -> bool:
        """Whether a row could not be trained or evaluated."""
        return any(row["errors"] for row in self.rows)


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
    """Trains what is left of a table, writes its results and returns them.

    Args:
        spec: File or name of the table, and the variant of its config behind a colon.
        overrides: Overrides for all rows, as `load_config` takes them; those of a row win.
        workdir: Folder of the table; gets a folder per row.
        seeds: Number of runs per row: the config's seed and those after it.
        packs: Paths, by name, of other crops of the same videos that rows ask for.
        accept: Codes of audit errors in the data to train with all the same.
        interrupt: Where a signal handler asks the runs to stop.

    Raises:
        UsageError: The table, a config or the folder cannot be used.
        Stopped: A stop was requested; everything is saved.
    """
    if seeds < 1:
        raise UsageError(f"seeds must be at least 1, not {seeds}")
    table = load_table(spec, overrides, packs)
    lines, datasets = run_table(table, workdir, seeds=seeds, accept=accept, interrupt=interrupt)
    title = f"{table.title} · {table.spec} · {', '.join(datasets)} data"
    rows = summarise(lines)
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
    """Returns a line per row and seed, and the data sets, after training what is not there yet.

    Columns: `row`, `change`, `seed`, `parameters`, `seconds`, `clips_per_s`, `best_epoch`, the
    metrics of the test split, `unseen` (the mean video AUC over methods held back) and `error`
    (empty, or why there is nothing else).

    Args:
        table: The rows.
        workdir: Folder of the table; gets a folder per row.
        seeds: Number of runs per row.
        accept: Codes of audit errors in the data to train with all the same.
        interrupt: Where a signal handler asks the runs to stop.

    Raises:
        UsageError: The folder is the workdir of a single run, or rows read different data.
        Stopped: A stop was requested; everything is saved.
    """
    check_study_folder(workdir)
    lines: list[Line] = []
    datasets: set[str] = set()
    summaries: dict[Path, Summary] = {}
    with workdirs.locked(workdir):
        data = share_data(table, workdir)
        for row in table.rows:
            for seed in range(row.config.seed, row.config.seed + seeds):
                line: Line = {"row": row.name, "change": " ".join(row.change), "seed": seed}
                run = workdir / row.trained_as / f"seed{seed}"
                say(f"{row.name}, seed {seed}: {run}")
                settings = [f"seed={seed}", *([] if row.own_pack else data)]
                try:
                    if run not in summaries:
                        config = override(row.config, settings)
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
    """Returns the override by which all rows use one data set; the synthetic one is made first.

    Rows with a pack of their own do not count: it holds other crops of the same videos.

    Raises:
        UsageError: Rows read different data, so that their figures could not be compared.
    """
    configs = [row.config for row in table.rows if not row.own_pack]
    if not configs:
        return []
    if len({(c.data.path, c.data.features, str(c.data.synthetic)) for c in configs}) > 1:
        raise UsageError(f"{table.title}: rows on different data cannot be compared")
    # One set for all rows: with flow if any of them reads it.
    maker = next((config for config in configs if config.data.flow), configs[0])
    return share_synthetic(maker, workdir)


def _evaluate_ensembles(
    table: Table, workdir: Path, seeds: int, lines: Sequence[Line]
) -> list[Line]:
    """A line per ensemble and seed."""
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
    log = pd.read_json(run / "metrics.jsonl", lines=True)
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
    """Returns the mean video AUC over the methods never trained on; None if there is none."""
    known = [
        m["video_auc"] for m in result["unseen_methods"].values() if m["video_auc"] is not None
    ]
    return sum(known) / len(known) if known else None
