"""Protocols: every config, the cells by hand, and the table as Markdown, CSV and LaTeX."""

import itertools
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from dfjax.commands.main import main
from dfjax.config import find_protocol
from dfjax.data.index.records import make_index, make_record, write_index
from dfjax.errors import UsageError
from dfjax.evaluation.conventions.benchmark_protocol import Numbers
from dfjax.evaluation.conventions.protocol_names import COMPAT
from dfjax.evaluation.report.protocol_table import Cell, ProtocolTable, Selection, find_compressions
from dfjax.evaluation.report.view import Report
from dfjax.evaluation.tables.column_names import TableForm
from dfjax.evaluation.tables.predictions import read_predictions
from dfjax.studies.protocols import load_protocol, run_protocol

PROTOCOLS = sorted(path.stem for path in find_protocol("cross_dataset").parent.glob("*.py"))
METHODS = {"DF": "Deepfakes", "F2F": "Face2Face", "FS": "FaceSwap", "NT": "NeuralTextures"}


def ffpp(path, gaps, rates=("c23", "c40"), dataset="ffpp"):
    """Writes scores of FaceForensics++ in which the fakes of a method are higher by its gap."""
    rows = []
    for rate, n in itertools.product(rates, range(8)):
        rows.append((f"{dataset}/youtube/{rate}/{n:03d}", "real", 0, n / 16))
        for name, gap in gaps.items():
            video = f"{dataset}/{METHODS[name]}/{rate}/{n:03d}_999"
            rows.append((video, METHODS[name], 1, (n + gap) / 16))
    table = pd.DataFrame(rows, columns=["video_id", "method", "label", "fake_prob"])
    table.assign(dataset=dataset).to_csv(path, index=False)
    return path


def auc(gap):
    """AUC of reals 0 to 7 and fakes that are higher by a gap."""
    wins = np.arange(8)[:, None] + gap - np.arange(8)
    return ((wins > 0) + 0.5 * (wins == 0)).mean()


@pytest.mark.parametrize("name", PROTOCOLS)
def test_every_protocol_is_complete(name):
    protocol = load_protocol(name)
    assert protocol.title and protocol.metric == "video_auc" and len(protocol.columns) >= 3
    text = find_protocol(name).read_text()
    assert all(word in text for word in ("Command:", "Hardware:", "Time:", "Expected:"))
    assert f"dfjax protocol {name} " in text


def test_within_domain_by_hand(tmp_path, capsys):
    scores = ffpp(tmp_path / "s.csv", {"DF": 2, "NT": 0})
    out = tmp_path / "out"
    arguments = ["protocol", "within_domain", f"mine={scores}", "--out", str(out), "--json"]
    assert main(arguments) == 1  # Face2Face and FaceSwap have only reals
    captured = capsys.readouterr()
    printed = json.loads(captured.out.splitlines()[-1])
    cells = {cell["column"]: cell for cell in printed["rows"]}
    assert cells["DF"]["value"] == pytest.approx(auc(2)) and cells["DF"]["videos"] == 16
    assert cells["NT"]["value"] == 0.5
    both = (auc(2) + 0.5) / 2
    assert cells["FF++ c23"]["value"] == pytest.approx(both)
    low, high = cells["FF++ c40"]["interval"]
    assert low < cells["FF++ c40"]["value"] < high
    assert "mine has no fakes of F2F" in captured.err
    frame = pd.read_csv(out / "table.csv")
    names = ["FF++ c23", "FF++ c40", "DF", "F2F", "FS", "NT"]
    assert list(frame)[1:8] == [*names, "mean"]
    assert (frame["FF++ c40 low"][0], frame["FF++ c40 high"][0]) == pytest.approx((low, high))
    assert frame["DF videos"][0] == 16 and np.isnan(frame["FS low"][0])
    assert frame["mean"][0] == pytest.approx((2 * both + auc(2) + 0.5) / 4)
    assert f"| mine | {both:.4f} |" in (out / "table.md").read_text()
    tex = (out / "table.tex").read_text()
    assert f"{{\\scriptsize [{low:.3f}, {high:.3f}]}}" in tex
    assert f"mine & {both:.4f} & " in tex and "\\toprule" in tex and " & -- & " in tex
    assert main(arguments) == 1  # its own files are replaced


def test_leave_one_out_takes_each_detector_for_its_own_method(tmp_path):
    sources = {
        name: ffpp(tmp_path / f"{name}.csv", dict.fromkeys(METHODS, gap))
        for name, gap in zip(METHODS, (1, 2, 3, 4))
    }
    result = run_protocol("leave_one_method_out", sources, out=tmp_path / "out", resamples=0)
    (row,) = result.table.to_frame().to_dict("records")
    expected = [auc(gap) for gap in (1, 2, 3, 4)]
    assert [row[name] for name in METHODS] == pytest.approx(expected)
    assert row["mean"] == pytest.approx(np.mean(expected)) and not result.missing
    two = {name: sources[name] for name in ("DF", "F2F")}
    lacking = run_protocol("leave_one_method_out", two, out=tmp_path / "two", resamples=20)
    assert lacking.missing == ["no detector is for FS", "no detector is for NT"]
    (written,) = [
        line
        for line in (tmp_path / "two" / "table.md").read_text().splitlines()
        if "| DF |" in line
    ][-1:]
    (cell, *_) = lacking.table.cells
    assert f"{cell.interval[0]:.4f}–{cell.interval[1]:.4f} | 32 |" in written
    with pytest.raises(UsageError, match="unknown column of a detector 'other'"):
        run_protocol("leave_one_method_out", {"other": sources["DF"]})


def test_rows_of_several_detectors_and_the_benchmark_protocol(tmp_path):
    good, bad = (ffpp(tmp_path / f"{gap}.csv", dict.fromkeys(METHODS, gap)) for gap in (3, 0))
    rows = {"good": good, "bad": bad}
    result = run_protocol("cross_manipulation", rows, metric="ap", resamples=0)
    frame = result.table.to_frame()
    assert (frame["DF"][0] > frame["DF"][1]) and frame.iloc[0, 0] == "good"
    compat = run_protocol(
        "cross_manipulation", rows, metric="frame_auc", numbers=Numbers(COMPAT), resamples=0
    )
    assert compat.table.to_frame()["FS"].tolist() == pytest.approx([auc(3), 0.5])
    assert compat.table.protocol == COMPAT


def test_what_cannot_be_run_is_one_clear_line(tmp_path):
    scores = ffpp(tmp_path / "s.csv", {"DF": 2})
    with pytest.raises(UsageError, match=r"columns dataset \(ffpp\), compression \(c23, c40\)"):
        x = pd.read_csv(ffpp(tmp_path / "y.csv", {"DF": 1}))
        x.assign(video_id=range(len(x))).to_csv(tmp_path / "y.csv", index=False)
        run_protocol("within_domain", {"mine": tmp_path / "y.csv"})
    with pytest.raises(UsageError, match="no predictions are of the data sets of cross_dataset"):
        run_protocol("cross_dataset", {"mine": ffpp(tmp_path / "x.csv", {"DF": 1}, dataset="x")})
    with pytest.raises(UsageError, match="no test set has the metric nothing"):
        run_protocol("within_domain", {"mine": scores}, metric="nothing", resamples=0)
    with pytest.raises(UsageError, match="unknown protocol 'cross_data'"):
        run_protocol("cross_data", {"mine": scores})
    mine = tmp_path / "mine.py"
    for columns, message in (
        ("{}", "no columns"),
        ("{'a': {'data': 'd'}}", "unknown selection"),
        ("{'a': {'compression': 'c23'}}", "column a of mine.py has no dataset"),
    ):
        mine.write_text(f"def get_protocol():\n    return {{'title': 't', 'columns': {columns}}}\n")
        with pytest.raises(UsageError, match=message):
            load_protocol(str(mine))
    mine.write_text("title = 't'\n")
    with pytest.raises(UsageError, match="does not define get_protocol"):
        load_protocol(str(mine))


def test_compressions_are_in_a_column_or_in_ids():
    ids = pd.DataFrame({"video_id": ["ffpp/Deepfakes/c40/000_003", "d/003@raw", "d/c23x"]})
    assert find_compressions(ids).tolist() == ["c40", "raw", ""]
    assert find_compressions(ids.assign(compression=["raw", None, "c23"])).tolist() == [
        "raw", "", "c23",
    ]  # fmt: skip
    rows = ids.assign(dataset="d", label=1, method="x")
    assert Selection("d", ("x",), "raw").find(rows).tolist() == [False, True, False]


def test_names_are_text_in_latex():
    table = ProtocolTable(
        "t", "ap", "strict", ("a_b", "50%"), (Cell("x & y", "a_b", 0.5, None, 2),)
    )
    assert "x \\& y & 0.5000 & -- & 0.5000 \\\\" in table.latex and "a\\_b & 50\\%" in table.latex


def test_a_workdir_is_evaluated_on_every_index(tmp_path, monkeypatch):
    calls = []
    for rate, gap in (("c23", 3), ("c40", 1)):
        scores = ffpp(tmp_path / f"{rate}.csv", {"DF": gap}, rates=(rate,))
        rows = read_predictions([scores]).predictions
        # The ids of these videos do not tell the compression; the index does.
        rows["video_id"] = rate[1:] + rows["video_id"].str.replace(f"/{rate}/", "/")
        rows.to_parquet(tmp_path / f"{rate}.parquet")
        records = [
            make_record(video_id=row.video_id, dataset="ffpp", label=row.label, method=row.method,
                        split="test", compression=rate)
            for row in rows.itertuples()
        ]  # fmt: skip
        write_index(make_index(records), tmp_path / rate / "index.parquet", command="test")

    def evaluate(source, *, split, index, out):
        calls.append((source.name, split, out.relative_to(tmp_path).as_posix()))
        out.mkdir(parents=True)
        rows = pd.read_parquet(tmp_path / f"{Path(index).name}.parquet")
        rows.assign(group=rows["video_id"].str[-3:]).to_parquet(out / "predictions.parquet")
        return Report({}, rows, out)  # without the column that names the clusters

    monkeypatch.setattr("dfjax.studies.protocols.evaluate", evaluate)
    data = {rate: tmp_path / rate for rate in ("c23", "c40")}
    foreign = {"form": TableForm({"video_id": "clip"}, "percent"), "split": "val"}
    result = run_protocol(  # how a foreign file is read does not concern our own
        "compression", {"Mine 1": tmp_path / "run"}, data=data, out=tmp_path / "o", resamples=0,
        **foreign,
    )  # fmt: skip
    assert calls == [("run", "test", "o/mine_1/c23"), ("run", "test", "o/mine_1/c40")]
    (row,) = result.table.to_frame().to_dict("records")
    assert (row["c23"], row["c40"]) == (auc(3), auc(1)) and np.isnan(row["raw"])
    assert result.missing == ["Mine 1 has no videos of raw"]
    with pytest.raises(UsageError, match="needs a folder for the results"):
        run_protocol("compression", {"mine": tmp_path / "run"}, data=data)
