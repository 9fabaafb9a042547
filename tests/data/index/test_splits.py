"""Tests splits: whole units, proportions, and independence of the order of rows."""

import json

import numpy as np
import pandas as pd
import pytest

from dfjax.commands.main import main
from dfjax.data.index import splits
from dfjax.data.index.components import find_components, name_components
from dfjax.data.index.frame_paths import rebase_frames
from dfjax.data.index.records import make_index, make_record, read_index, write_index
from dfjax.errors import UsageError

METHODS = ("Deepfakes", "Face2Face", "FaceSwap", "NeuralTextures")


def record(name, label=0, **fields):
    method = "real" if label == 0 else fields.pop("method", "swap")
    return make_record(video_id=name, dataset="d", label=label, method=method, **fields)


def make_pairs(n, people=None):
    """Returns `n` real videos with one fake each; video i shows person i modulo `people`."""
    rows = []
    for i in range(n):
        person = {"target_id": str(i % (people or n))}
        rows.append(record(f"real/{i:04d}", **person))
        rows.append(record(f"fake/{i:04d}", 1, pair_id=f"real/{i:04d}", **person))
    return make_index(rows)


def crossing(index, split, column):
    """Returns the values of a column that are in more than one split."""
    table = index.assign(split=split).explode(column)
    return table.groupby(column)["split"].nunique().loc[lambda n: n > 1].index.tolist()


def test_components_by_hand():
    index = make_index(
        [
            record("a", target_id="1"),
            record("b", 1, target_id="1", donor_ids=["2"]),
            record("c", target_id="2", origin_id="film"),
            record("d", target_id="3", origin_id="film"),
            record("e", 1, target_id="4", pair_id="a"),
            record("f", target_id="5", group="g"),
            record("g"),  # its id is the name of f's group, which must not connect them by pair
        ]
    )
    assert find_components(index, ["identity"]).tolist() == [0, 0, 0, 1, 2, 3, 4]
    assert find_components(index, ["origin"]).tolist() == [0, 1, 2, 2, 3, 4, 5]
    assert find_components(index, ["pair"]).tolist() == [0, 1, 2, 3, 0, 4, 5]
    everything = find_components(index, ["identity", "origin", "pair"])
    assert everything.tolist() == [0, 0, 0, 0, 0, 1, 2]
    assert name_components(index, everything) == ["a", "f", "g"]
    apart = find_components(index, ["identity"], within=np.array(list("xyyyyyy")))
    assert apart.tolist() == [0, 1, 1, 2, 3, 4, 5]


def test_fakes_of_a_real_that_is_missing_belong_together():
    index = make_index([record(n, 1, pair_id="gone") for n in "ab"] + [record("c")])
    assert find_components(index, ["pair"]).tolist() == [0, 0, 1]


@pytest.mark.parametrize(("by", "column"), [("group", "group"), ("identity", "identities")])
def test_nothing_connected_is_cut(by, column):
    index = make_pairs(200, people=60)
    split = splits.split_by_ratios(index, by=by)
    assert crossing(index, split, column) == []
    partner = dict(zip(index["video_id"], split))
    fakes = index["label"] == 1
    assert [partner[p] for p in index["pair_id"][fakes]] == split[fakes].tolist()


def test_by_origin_keeps_recordings_whole():
    index = make_pairs(90)
    index["origin_id"] = [f"film{i // 6}" for i in range(len(index))]
    assert crossing(index, splits.split_by_ratios(index, by="origin"), "origin_id") == []


def test_every_stratum_has_the_ratios():
    index = make_pairs(200)
    index.loc[index["label"] == 1, "method"] = [METHODS[i % 4] for i in range(200)]
    split = splits.split_by_ratios(index, by="group", ratios=(0.7, 0.1, 0.2))
    for _, rows in index.assign(split=split).groupby("method"):
        share = rows["split"].value_counts(normalize=True)
        # Every fake brings its real along, so that nothing stands in the way of 50 x 0.7.
        assert share["train"] == pytest.approx(0.7, abs=1 / 50)
        assert share["val"] == pytest.approx(0.1, abs=1 / 50)


def test_row_order_and_seed():
    index = make_pairs(60)
    shuffled = index.sample(frac=1, random_state=1).reset_index(drop=True)
    first = dict(zip(index["video_id"], splits.split_by_ratios(index, by="group")))
    again = dict(zip(shuffled["video_id"], splits.split_by_ratios(shuffled, by="group")))
    other = dict(zip(index["video_id"], splits.split_by_ratios(index, by="group", seed=1)))
    assert first == again
    assert first != other


def test_few_units_leave_no_part_empty():
    index = make_pairs(3)
    assert set(splits.split_by_ratios(index, by="group")) == {"train", "val", "test"}
    with pytest.raises(UsageError, match="only 2 units"):
        splits.split_by_ratios(make_pairs(2), by="group")
    assert set(splits.split_by_ratios(make_pairs(2), by="group", ratios=(0.5, 0.0, 0.5))) == {
        "train",
        "test",
    }


def test_uneven_units_come_near():
    """One person is in 30 videos, the others are in one each; train gets the large unit."""
    rows = [record(f"big{i}", target_id="x") for i in range(30)]
    index = make_index(rows + [record(f"small{i}", target_id=f"s{i}") for i in range(70)])
    split = splits.split_by_ratios(index, by="identity", ratios=(0.6, 0.2, 0.2))
    assert (split[:30] == "train").all()
    assert pd.Series(split).value_counts().to_dict() == {"train": 60, "val": 20, "test": 20}


def test_folds_test_every_video_once():
    index = make_pairs(50, people=25)
    fold = splits.assign_folds(index, by="identity", folds=5)
    assert np.bincount(fold).tolist() == [20] * 5
    rounds = [splits.split_by_fold(fold, n, 5) for n in range(1, 6)]
    for part in ("test", "val"):
        assert (sum(r == part for r in rounds) == 1).all()
    assert (rounds[1][fold == 1] == "test").all()
    assert (rounds[4][fold == 0] == "val").all()


def test_a_round_is_dealt_alike_with_and_without_the_column():
    index = make_pairs(30)
    split = splits.split_by_round(index, "2/3")
    fold = splits.assign_folds(index, by="group", folds=3)
    assert split.tolist() == splits.split_by_fold(fold, 2, 3).tolist()
    assert split.tolist() == splits.split_by_round(index.assign(fold=fold), "2/3").tolist()
    for text, message in (
        ("2", "not of the form N/K"),
        ("4/3", "fold 4/3"),
        ("1/2", "at least 3"),
    ):
        with pytest.raises(UsageError, match=message):
            splits.split_by_round(index, text)
    with pytest.raises(UsageError, match="has 3 folds, not 5"):
        splits.split_by_round(index.assign(fold=fold), "2/5")


def test_repair_moves_the_fewest():
    """The single val unit moves to the two train units; in case of a tie, units move to train."""
    rows = []
    for name, split, film in (
        ("a", "train", "f"), ("b", "train", "f"), ("c", "val", "f"),
        ("d", "test", "g"), ("e", "train", "g"), ("x", "test", "h"), ("y", "none", "f"),
    ):  # fmt: skip
        rows.append(record(name, split=split, target_id=name, origin_id=film))
        rows.append(record(f"{name}-fake", 1, split=split, target_id=name, pair_id=name))
    index = make_index(rows)
    repaired = splits.repair(index)
    assert repaired.moved == [("c", "val", "train"), ("d", "test", "train")]
    assert repaired.videos == 4
    stay = ~index["target_id"].isin(["c", "d"])
    assert (repaired.split[stay] == index["split"][stay]).all()


def test_unknown_names():
    index = make_pairs(5)
    with pytest.raises(UsageError, match="Did you mean 'identity'"):
        splits.split_by_ratios(index, by="identiy")
    with pytest.raises(UsageError, match="Did you mean 'method'"):
        splits.split_by_ratios(index, by="group", stratify=("metod",))
    with pytest.raises(UsageError, match="no official split"):
        splits.repair(index)


def test_frames_are_found_from_another_folder(tmp_path):
    index = make_pairs(1).assign(frames_dir=["crops/a", "/elsewhere/b"])
    moved = rebase_frames(index, tmp_path / "crops", tmp_path / "splits" / "one")
    assert moved["frames_dir"].tolist() == ["../../crops/crops/a", "/elsewhere/b"]
    assert rebase_frames(index, tmp_path, tmp_path) is index


def test_the_verb(tmp_path, capsys):
    source, out = tmp_path / "index.parquet", tmp_path / "out" / "split.parquet"
    write_index(make_pairs(30), source, command="test")
    call = ["data", "split", "--index", str(source), "--json"]
    assert main([*call, "--by", "group", "--out", str(out)]) == 0
    said = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert said["splits"] == {"train": 48, "val": 6, "test": 6}
    assert read_index(out)["split"].value_counts()["train"] == 48
    folds = tmp_path / "folds.parquet"
    assert main([*call, "--by", "group", "--folds", "3", "--out", str(folds)]) == 0
    round_2 = ["data", "split", "--index", str(folds), "--fold", "2/3", "--out", str(out)]
    assert main(round_2) == 0
    assert read_index(out)["split"].value_counts().to_dict() == dict(train=20, val=20, test=20)
    capsys.readouterr()
    write_index(make_pairs(9, people=2), source, command="test")
    ratios = ["--ratios", "0.5,0,0.5"]
    assert main([*call, "--by", "identity", *ratios, "--out", str(out)]) == 0
    assert "one unit of connected videos has 56%" in capsys.readouterr().err
    for wrong in (["--by", "official"], ["--by", "group", "--repair", "origin"], []):
        assert main([*call, *wrong, "--out", str(out)]) == 2


def test_official_keeps_splits_whatever_an_assignment_would_need(tmp_path, capsys):
    source, out = tmp_path / "index.parquet", tmp_path / "split.parquet"
    split = np.resize(["train", "train", "test", "test"], 60)
    write_index(make_pairs(30).assign(split=split), source, command="test")
    call = ["data", "split", "--index", str(source), "--by", "official", "--out", str(out)]
    assert main([*call, "--ratios", "0.8,0.1,0.1", "--seed", "3", "--stratify", "label"]) == 0
    assert "no effect: ratios, stratify, seed" in capsys.readouterr().err
    assert read_index(out)["split"].tolist() == split.tolist()
    assert main([*call, "--folds", "3"]) == 2
