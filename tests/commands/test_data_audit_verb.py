"""`dfjax data audit`, and what training and evaluation make of it."""

import json
import re

import pytest

from dfjax.commands.main import main
from dfjax.data.index.records import make_index, make_record, read_index, write_index
from dfjax.errors import RunError, UsageError
from dfjax.experiment import data_check as auditing


@pytest.fixture
def leaking(tmp_path):
    """Reals of one recording on both sides, names that would break a page."""
    rows = [
        make_record(
            video_id=f"<b>{i}&", dataset="d", label=i % 2, method="swap" if i % 2 else None,
            split=("train", "test")[i // 2 % 2], target_id=str(i), origin_id=f"film{i // 4}",
            n_frames=10 + i,
        )
        for i in range(8)
    ]  # fmt: skip
    write_index(make_index(rows), tmp_path / "index.parquet", command="test")
    return tmp_path


def test_the_verb(leaking, capsys):
    out = leaking / "out"
    call = ["data", "audit", "--index", str(leaking), "--out", str(out), "--workers", "1", "--json"]
    assert main(call) == 1
    said = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert said == json.loads((out / "audit.json").read_text())
    errors = {f["code"] for f in said["findings"] if f["severity"] == "error"}
    assert errors == {"origin_across_splits"}
    assert set(said["findings"][0]) == {"code", "severity", "message", "ids", "figure"}
    assert main([*call, "--accept", "origin_across_splits"]) == 0
    printed = capsys.readouterr().out
    assert "error: origin_across_splits (accepted): " in printed
    assert re.search(r"real +4 +13.0 +2.6\n +fake +4 +14.0 +2.6\n +ratio of means 1.1x", printed)
    assert main([*call, "--accept", "origin"]) == 2


def test_the_page_stands_alone(leaking):
    out = leaking / "out"
    main(["data", "audit", "--index", str(leaking), "--out", str(out), "--workers", "1"])
    page = (out / "audit.html").read_text()
    assert "<b>0&" not in page and "&lt;b&gt;0&amp;" in page
    assert not re.search(r'(src|href)="(?!data:)', page)
    assert page.count("data:image/png;base64,") >= 2
    assert sorted(p.name for p in out.iterdir()) == ["audit.html", "audit.json"]


def test_training_refuses_errors_until_they_are_accepted(leaking, monkeypatch, capsys):
    run = leaking / "run"
    with pytest.raises(RunError, match="or accept origin_across_splits"):
        auditing.check_data(leaking, run, [])
    assert "error: origin_across_splits" in capsys.readouterr().err
    assert auditing.read_accepted(run) == []
    auditing.check_data(leaking, run, ["origin_across_splits"])
    assert "Accepted: origin_across_splits" in (run / "audit.html").read_text()
    monkeypatch.setattr(
        auditing, "audit_data", None
    )  # from now on the report in the workdir serves
    auditing.check_data(leaking, run, [])  # the same run resumes
    auditing.check_data(leaking, run, ["origin_across_splits"] * 2)
    (flag,) = auditing.read_accepted(run)
    assert (flag["code"], flag["severity"]) == ("origin_across_splits", "warning")
    assert flag["message"].startswith("accepted when training (origin_across_splits)")
    links = auditing.list_accepted_links(run, read_index(leaking / "index.parquet"))
    assert links["origin_id"] == {"film0", "film1"} and links["group"] == set()
    with pytest.raises(UsageError, match="unknown finding to accept 'typo'"):
        auditing.check_data(leaking, run, ["typo"])


def test_another_index_is_audited_again(leaking):
    run = leaking / "run"
    auditing.check_data(leaking, run, ["origin_across_splits"])
    rows = [make_record(video_id=str(i), dataset="d", label=i % 2, method="m") for i in range(4)]
    write_index(make_index(rows), leaking / "index.parquet", command="test")
    auditing.check_data(leaking, run, [])
    assert json.loads((run / "audit.json").read_text())["accepted"] == []
    assert auditing.read_accepted(run) == []
    assert auditing.read_accepted(leaking / "no-run") == []
    assert auditing.list_accepted_links(run, read_index(leaking / "index.parquet")) == {}
