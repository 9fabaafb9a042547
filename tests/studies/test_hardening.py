"""Tests the hardening of a detector: the pack with restored fakes, the rounds and resuming."""

import json
import types

import numpy as np
import pytest

from dfjax.config import load_config
from dfjax.data.index.records import read_index
from dfjax.data.store.pack import open_pack, pack
from dfjax.data.synthetic import generate
from dfjax.errors import UsageError
from dfjax.studies import hardening
from dfjax.studies.restored_pack import make_restored_pack


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    folder = tmp_path_factory.mktemp("source")
    generate(folder / "raw", videos=24, identities=12, frames=5, size=32, seed=1)
    pack(folder / "raw" / "index.parquet", folder / "pack")
    return folder / "pack"


def make_generator(source):
    config = load_config("dual_stream")
    config.data.update({"frames": 4, "path": str(source), "crop_size": 32})
    config.eval.batch_size = 2
    return types.SimpleNamespace(
        config=config,
        checkpoint="best/3",
        checkpoint_sha256="a" * 64,
        restore=lambda clips: np.clip(clips.astype(int) + 50, 0, 255).astype(np.uint8),
    )


def test_the_pack_has_all_videos_and_the_restored_training_fakes(source, tmp_path):
    made = open_pack(make_restored_pack(open_pack(source), make_generator(source), tmp_path))
    old, new = read_index(source / "index.parquet"), made.index.set_index("video_id")
    added = new[new["method"] == "restored"]
    fakes = old[(old["label"] == 1) & old["split"].isin(["train", "val"])].set_index("video_id")
    assert sorted(added.index) == sorted(f"{name}/restored" for name in fakes.index)
    assert len(new) == len(old) + len(fakes) and (added["label"] == 1).all()
    assert added["restored"].eq(True).all() and not set(added["split"]) & {"test"}
    for name in fakes.index[:3]:
        row = added.loc[f"{name}/restored"]
        assert row["group"] == fakes.loc[name, "group"] and row["split"] == fakes.loc[name, "split"]
        places = [made.index["video_id"].tolist().index(x) for x in (name, f"{name}/restored")]
        numbers = made.frame_numbers(places[0]).tolist()
        plain, restored = (made.read(place, numbers).astype(int) for place in places)
        change = np.clip(plain + 50, 0, 255) - restored
        assert len(numbers) == 5 and np.abs(change).mean() < 4
    assert not (tmp_path / "crops").exists()


def test_manipulations_that_are_held_back_are_not_restored(source, tmp_path):
    data = open_pack(source)
    split = data.index["split"].isin(["train", "val"])
    methods = data.index.loc[split & (data.index["label"] == 1), "method"]
    held = methods.iloc[0]
    made = open_pack(
        make_restored_pack(data, make_generator(source), tmp_path, holdout=(held,))
    ).index
    assert (made["method"] == "restored").sum() == (methods != held).sum() > 0


def test_rounds_start_from_each_other_and_are_not_repeated(source, tmp_path, monkeypatch):
    trained, evaluated = [], []
    config = load_config("dual_stream")
    config.data.update({"frames": 4, "path": str(source), "crop_size": 32})
    config.optimizer.learning_rate = 1e-3

    def load(path):
        name = str(path).rpartition("/")[2]
        return types.SimpleNamespace(
            config=config,
            workdir=tmp_path / "w",
            checkpoint=f"best/{name}",
            checkpoint_sha256=("b" if name == "w" else name[-1]) * 64,
        )

    def train_run(config, workdir, accept, interrupt):
        trained.append((config, workdir))
        return {"status": "trained"}

    def evaluate(generator, judge, *, index, out):
        evaluated.append((judge.checkpoint, index))
        auc = {"auc": 0.5 + 0.1 * len(evaluated), "auc_ci": [0.4, 0.9]}
        arm = auc | {"flip_rate": 0.5, "flip_rate_ci": None}
        content = {
            "arms": {"unchanged": arm, "restored": arm},
            "checkpoint": generator.checkpoint,
            "detector": judge.checkpoint,
            "n": {"fakes": 3},
        }
        out.mkdir(parents=True)
        (out / "restoration.json").write_text(json.dumps(content))
        return types.SimpleNamespace(to_json=lambda: content)

    monkeypatch.setattr(hardening, "load", load)
    monkeypatch.setattr(hardening, "load_generator", lambda _: make_generator(source))
    monkeypatch.setattr(hardening, "train_run", train_run)
    monkeypatch.setattr(hardening, "evaluate_restoration", evaluate)
    out = tmp_path / "study"
    result = hardening.harden(tmp_path / "w", "g", ["train.epochs=5"], workdir=out, rounds=2)
    assert [row["round"] for row in result.rounds] == [0, 1, 2]
    assert [str(config.train.init_from) for config, _ in trained] == [
        str((tmp_path / "w").resolve()),
        str((out / "round1").resolve()),
    ]
    first = trained[0][0]
    assert first.data.path == str((out / "restored" / "pack").resolve())
    assert first.train.epochs == 5 and first.optimizer.learning_rate == pytest.approx(3e-4)
    assert config.train.init_from == "" and [name for name, _ in evaluated] == [
        "best/w",
        "best/round1",
        "best/round2",
    ]
    assert json.loads((out / "harden.json").read_text())["rounds"] == result.rounds
    assert result.rounds[1]["auc_restored"] == pytest.approx(0.7)
    again = hardening.harden(tmp_path / "w", "g", ["train.epochs=5"], workdir=out, rounds=2)
    assert len(evaluated) == 3 and again.rounds == result.rounds
    with pytest.raises(UsageError, match="other settings"):
        hardening.harden(out / "round1", "g", workdir=out)
    with pytest.raises(UsageError, match="rounds must be"):
        hardening.harden(tmp_path / "w", "g", workdir=out, rounds=0)
