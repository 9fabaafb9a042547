"""Mutated CSV lists, indexes and tables of predictions through the commands that read them."""

import json
import os

import pandas as pd
import pytest
from hostile_cases import make_cases, over
from hostile_mutations import BYTES, rewrite
from hostile_tables import COLUMNS, TEXT, mutate_text, write_mutated

from dfjax.data.index.records import read_index

pytestmark = pytest.mark.slow
LIST = "path,label,split,method,target_id,identities\n" + "".join(
    f"{'real' if n % 2 else 'fake/swap'}/{n}.mp4,{(n + 1) % 2},{split},"
    f"{'real' if n % 2 else 'swap'},{n},p{n};p{n + 1}\n"
    for n, split in enumerate(("train", "train", "val", "val", "test", "test", "none", ""))
)


def strict(text):
    """The value of strict JSON, which has neither NaN nor infinity."""

    def refuse(constant):
        raise ValueError(constant)

    return json.loads(text, parse_constant=refuse)


@over(make_cases("csv", TEXT, 8) + make_cases("csv", BYTES, 2))
def test_list_of_videos(case, watch, honest):
    root, table = honest.take("videos", watch.inputs / "videos"), watch.inputs / "list.csv"
    if case.operation in BYTES:
        table.write_bytes(BYTES[case.operation](LIST.encode(), case.rng()))
    else:
        table.write_bytes(mutate_text(LIST, case.operation, case.rng()))
    index = watch.out / "index.parquet"
    outcome = watch.run(
        "data", "index", "--adapter", "csv", "--root", root, "--table", table, "--out", index,
        "--no-probe",
    )  # fmt: skip
    assert index.exists() == (outcome.code < 2)
    if index.exists():
        read = read_index(index)
        assert len(read) and read["path"].notna().all() and set(read["label"]) <= {0, 1}
        for path in read["path"]:
            inside = os.path.realpath(root / path).startswith(os.path.realpath(root) + os.sep)
            watch.expect(inside, f"{path} leads outside of the data set")


def read_verbs(index, out):
    """Commands that read an index of crops."""
    return (
        ["data", "verify", "--index", index, "--workers", "1"],
        ["data", "split", "--index", index, "--out", out / "s.parquet", "--ratios", "0.5,0.3,0.2"],
        ["data", "pack", "--index", index, "--out", out / "pack"],
        ["data", "merge", index, index, "--out", out / "merged.parquet"],
        ["data", "extract", "--index", index, "--out", out / "crops", "--detector", "none",
         "--frames", "2", "--size", "32"],
    )  # fmt: skip


@pytest.fixture
def here(monkeypatch):
    """Runs the tasks of worker processes in this one, which starts no process per case."""
    from hostile_workers import run_tasks

    for module in ("data.faces.extract_index", "data.index.probing", "inference.score_inputs"):
        monkeypatch.setattr(f"dfjax.{module}.run_tasks", run_tasks)


@over(make_cases("index", COLUMNS, 10) + make_cases("index", BYTES, 3))
def test_index(case, watch, honest, here):
    crops = honest.take("crops", watch.inputs / "crops")
    index = crops / "index.parquet"
    if case.operation in BYTES:
        rewrite(index, BYTES[case.operation](index.read_bytes(), case.rng()))
    else:
        write_mutated(honest.crops / "index.parquet", index, case.operation, case.rng())
    verbs = read_verbs(index, watch.out)
    watch.out.mkdir()
    watch.run(*verbs[case.number % len(verbs)])


@over(make_cases("scores_csv", TEXT, 8) + make_cases("scores_csv", BYTES, 2))
def test_predictions_as_text(case, watch, honest):
    text = pd.read_parquet(honest.predictions).to_csv(index=False)
    table = watch.inputs / "scores.csv"
    if case.operation in BYTES:
        table.write_bytes(BYTES[case.operation](text.encode(), case.rng()))
    else:
        table.write_bytes(mutate_text(text, case.operation, case.rng()))
    check_evaluation(watch, table)


@over(make_cases("scores", COLUMNS, 10) + make_cases("scores", BYTES, 2))
def test_predictions_as_parquet(case, watch, honest):
    table = watch.inputs / "scores.parquet"
    if case.operation in BYTES:
        table.write_bytes(BYTES[case.operation](honest.predictions.read_bytes(), case.rng()))
    else:
        write_mutated(honest.predictions, table, case.operation, case.rng())
    check_evaluation(watch, table)


def check_evaluation(watch, table):
    """Metrics in strict JSON, or one line of message."""
    outcome = watch.run("evaluate", "--predictions", table, "--json")
    if outcome.code < 2:
        metrics = strict(outcome.out.splitlines()[-1])
        assert metrics["n"]["videos"] >= 1
        for name, value in metrics["overall"].items():
            in_range = value is None or isinstance(value, list) or -1e6 < value < 1e6
            watch.expect(in_range, f"{name} is {value}")
