"""`dfjax fuse`, and evaluations and verdicts by its file."""

import json

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit, logit
from test_calibrate import EACH, crops, make_detector  # noqa: F401  # a fixture

import dfjax
from dfjax.commands.main import main
from dfjax.errors import UsageError
from dfjax.evaluation.fusion.rules import fit_logistic
from dfjax.inference import ensemble as ensembles
from dfjax.inference.fuse import fuse
from dfjax.inference.predict import predict


def write_tables(folder, n=60):
    """Two tables of val and test rows, in different orders."""
    rng = np.random.default_rng(0)
    rows = pd.DataFrame({"video_id": [f"v{k}" for k in range(2 * n)], "dataset": "set"})
    rows["label"] = np.arange(2 * n) % 2
    rows["split"] = np.repeat(["val", "test"], n)
    tables = []
    for name in "ab":
        table = rows.assign(fake_prob=expit(2 * rows["label"] - 1 + rng.normal(0, 1, 2 * n)))
        table.sample(frac=1, random_state=ord(name)).to_csv(folder / f"{name}.csv", index=False)
        tables.append(table)
    return tables


@pytest.fixture
def tables(tmp_path):
    return write_tables(tmp_path)


def test_tables_are_joined_by_id_and_scored_on_another_split(tables, tmp_path, capsys):
    a, b, out = (str(tmp_path / name) for name in ("a.csv", "b.csv", "f.json"))
    assert main(["fuse", a, b, "--out", out, "--json"]) == 0
    result = json.loads(capsys.readouterr().out.splitlines()[-1])
    val = [table[table["split"] == "val"].sort_values("video_id") for table in tables]
    logits = np.array([logit(table["fake_prob"]) for table in val])
    weights, bias = fit_logistic(logits, val[0]["label"].to_numpy(), 1e-4)
    np.testing.assert_allclose(result["weights"], weights, atol=1e-6)
    assert result["bias"] == pytest.approx(bias, abs=1e-6) and result["videos"] == 60
    assert [row["name"] for row in result["scores"]] == ["a", "b", "weights"]

    assert main(["evaluate", "--workdir", out, "--json"]) == 0
    found = json.loads(capsys.readouterr().out.splitlines()[-1])
    test = [table[table["split"] == "test"] for table in tables]
    fused = expit(np.array(weights) @ np.array([logit(t["fake_prob"]) for t in test]) + bias)
    rank = fused[test[0]["label"] == 1][:, None] - fused[test[0]["label"] == 0][None]
    assert found["overall"]["video_auc"] == pytest.approx((rank > 0).mean())

    for split in ("val", "all"):
        assert main(["evaluate", "--workdir", out, "--split", split]) == 2
        assert "was fitted to 60 of these videos" in capsys.readouterr().err
    assert main(["predict", "--workdir", out, a]) == 2
    assert "cannot score videos" in capsys.readouterr().err
    with open(a, "a") as file:
        file.write("v999,set,1,test,0.5\n")
    assert main(["evaluate", "--workdir", out]) == 2
    assert "has changed since" in capsys.readouterr().err


def test_a_rule_without_a_fit_may_be_scored_on_any_split(tables, tmp_path):
    out = tmp_path / "f.json"
    fuse(tmp_path / "a.csv", tmp_path / "b.csv", out=out, method="mean_prob")
    report = dfjax.evaluate(out, split="val")
    table = report.predictions.set_index("video_id")["fake_prob"]
    mean = (tables[0]["fake_prob"] + tables[1]["fake_prob"]).to_numpy() / 2
    expected = pd.Series(mean, tables[0]["video_id"])[table.index]
    np.testing.assert_allclose(table, expected, rtol=1e-12)


def test_wrong_usage(tables, tmp_path):
    a, b, out = (tmp_path / name for name in ("a.csv", "b.csv", "f.json"))
    with pytest.raises(UsageError, match="suffix .json"):
        fuse(a, b, out=tmp_path / "f.bin")
    with pytest.raises(UsageError, match="not fitted to the test split"):
        fuse(a, b, out=out, split="test")
    with pytest.raises(UsageError, match="Did you mean 'mean_prob'"):
        fuse(a, b, out=out, method="mean_pob")
    with pytest.raises(UsageError, match="1 tables do not fit 2"):
        fuse(a, b, out=out, tables=[a])


@pytest.mark.slow  # it draws the figures of three evaluations
def test_predict_and_evaluate_by_a_fusion_of_detectors(
    crops,  # noqa: F811
    tmp_path,
    monkeypatch,
):
    detectors = {}
    for number, name in enumerate("ab"):
        detectors[name] = make_detector(tmp_path / name, f"{number}" * 64)
        detectors[name].variables["weight"] = np.float32((number + 1) / 40)
        (tmp_path / name).mkdir()
        alone = dfjax.evaluate(
            detectors[name], split="val", index=crops / "index.parquet",
            out=tmp_path / name / "eval" / "val",
        )  # fmt: skip
        assert alone.metrics["n"]["videos"] == 2 * EACH
    monkeypatch.setattr(ensembles, "load", lambda path, *_, **__: detectors[path.name])
    out = tmp_path / "f.json"
    report = fuse(tmp_path / "a", tmp_path / "b", out=out, method="weights", nonnegative=True)
    picture = crops / "test1" / "000000.jpg"
    members = [predict(detectors[name], picture)[0].fake_prob for name in "ab"]
    (verdict,) = predict(out, picture)
    assert verdict.fake_prob == pytest.approx(report.fusion.rule(np.array([members]).T)[0])
    assert verdict.scores["member_prob:2"] == pytest.approx(members[1])
    with pytest.raises(UsageError, match=f"was fitted to {2 * EACH} of these videos"):
        dfjax.evaluate(out, split="val", index=crops / "index.parquet")
    tested = dfjax.evaluate(out, index=crops / "index.parquet", out=tmp_path / "out")
    table = tested.predictions.set_index("video_id")
    assert (table["unit"] == "video").all() and table.index.is_unique
    fused = report.fusion.rule(table[["member_prob:1", "member_prob:2"]].to_numpy().T)
    np.testing.assert_allclose(table["fake_prob"], fused, rtol=1e-6)
    detectors["b"].checkpoint_sha256 = "9" * 64
    with pytest.raises(UsageError, match="has another checkpoint"):
        predict(out, picture)
