"""Tests the hardening of a detector: the pack with restored fakes, the rounds and resuming."""

import json
import types

import numpy as np
import pandas as pd
import pytest

from dfjax.config import load_config
from dfjax.data.faces.crop_codec import decode_crop, encode_crop
from dfjax.data.index.records import read_index
from dfjax.data.store.pack import Pack, open_pack, pack
from dfjax.data.synthetic import generate
from dfjax.errors import UsageError
from dfjax.studies import hardening, restored_pack
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


def test_the_pack_has_all_videos_and_the_restored_fakes(source, tmp_path):
    made = open_pack(make_restored_pack(open_pack(source), make_generator(source), tmp_path))
    old, new = read_index(source / "index.parquet"), made.index.set_index("video_id")
    added = new[new["method"] == "restored"]
    fakes = old[old["label"] == 1].set_index("video_id")
    assert sorted(added.index) == sorted(f"{name}/restored" for name in fakes.index)
    assert len(new) == len(old) + len(fakes) and (added["label"] == 1).all()
    assert added["restored"].eq(True).all() and set(added["split"]) == {"train", "val", "test"}
    rows = {name: row for row, name in enumerate(made.index["video_id"])}
    before = {name: row for row, name in enumerate(old["video_id"])}
    for name in fakes.index[:3]:
        row = added.loc[f"{name}/restored"]
        assert row["group"] == fakes.loc[name, "group"] and row["split"] == fakes.loc[name, "split"]
        numbers = made.frame_numbers(rows[name]).tolist()
        crops = open_pack(source).read(before[name], numbers)
        plain, restored = (made.read(rows[x], numbers) for x in (name, f"{name}/restored"))
        # Both are encoded once more, by the same quality.
        again = [decode_crop(encode_crop(crop, 95)) for crop in crops]
        np.testing.assert_array_equal(plain, again)
        lighter = np.clip(crops.astype(int) + 50, 0, 255).astype(np.uint8)
        again = [decode_crop(encode_crop(crop, 95)) for crop in lighter]
        np.testing.assert_array_equal(restored, again)
    assert not (tmp_path / "crops").exists()


@pytest.mark.parametrize("after", [7, 170])  # while videos are copied, and while they are restored
def test_a_stopped_restoration_is_continued_video_by_video(source, tmp_path, monkeypatch, after):
    data, calls = open_pack(source), []

    def encode(crop, quality):
        calls.append(1)
        if len(calls) == after:
            raise KeyboardInterrupt
        return encode_crop(crop, quality)

    whole = make_restored_pack(data, make_generator(source), tmp_path / "whole")
    monkeypatch.setattr(restored_pack, "encode_crop", encode)
    with pytest.raises(KeyboardInterrupt):
        make_restored_pack(data, make_generator(source), tmp_path / "stopped")
    made = make_restored_pack(data, make_generator(source), tmp_path / "stopped")
    videos, frames = len(data) + (data.index["label"] == 1).sum(), 5
    assert len(calls) == videos * frames + after - frames * ((after - 1) // frames)
    sums = [json.loads((pack / "checksums.json").read_text())["files"] for pack in (whole, made)]
    shards = [{k: v for k, v in each.items() if "array_record" in k} for each in sums]
    assert shards[0] == shards[1] and len(shards[0]) >= 3


def test_manipulations_that_are_held_back_are_not_restored(source, tmp_path):
    data = open_pack(source)
    split = data.index["split"].isin(["train", "val"])
    methods = data.index.loc[split & (data.index["label"] == 1), "method"]
    held = methods.iloc[0]
    made = open_pack(
        make_restored_pack(data, make_generator(source), tmp_path, holdout=(held,))
    ).index
    added = made[made["method"] == "restored"]
    test = added["split"] == "test"
    assert (~test).sum() == (methods != held).sum() > 0
    index = data.index
    assert test.sum() == ((index["split"] == "test") & (index["label"] == 1)).sum() > 0


def test_the_table_compares_the_same_fakes_before_and_after():
    ids = ["a", "b", "c", "r1", "r2"]
    index = pd.DataFrame({"video_id": [*ids, "a/restored", "b/restored", "c/restored"]})
    index["group"] = ["g1", "g2", "g2", "g1", "g2", "g1", "g2", "g2"]
    rows = {"a": 0.9, "b": 0.8, "c": 0.2, "r1": 0.1, "r2": 0.3}
    rows |= {"a/restored": 0.2, "b/restored": 0.7, "c/restored": 0.05}
    table = pd.DataFrame({"video_id": list(rows), "fake_prob": list(rows.values())})
    table = table.assign(dataset="d", unit="clip", position=0, face=0, logit=0.0, split="test")
    table["method"] = ["m", "m", "m", "real", "real", *["restored"] * 3]
    table["label"] = (table["method"] != "real").astype(int)
    arms = hardening.compare_fakes(table, index)
    assert set(arms) == {"unchanged", "restored"}
    assert arms["unchanged"]["auc"] == pytest.approx(5 / 6)  # only c is below r2
    assert arms["restored"]["auc"] == pytest.approx(3 / 6)
    assert arms["restored"]["flip_rate"] == pytest.approx(1 / 2)  # a of the detected a and b


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
            data_sha256="",
            checkpoint=f"best/{name}",
            checkpoint_sha256=("b" if name == "w" else name[-1]) * 64,
        )

    def train_run(config, workdir, accept, interrupt):
        trained.append((config, workdir))
        return {"status": "trained"}

    def evaluate(judge, *, split, index, out, calibrated):
        evaluated.append((judge.checkpoint, index, out))
        videos = open_pack(index).index
        table = videos.loc[videos["split"] == split, ["dataset", "video_id", "label", "method"]]
        better = 0.1 * len(evaluated) * (table["method"] == "restored")
        table = table.assign(unit="clip", position=0, face=0, logit=0.0, split=split)
        return types.SimpleNamespace(predictions=table.assign(fake_prob=0.4 + better))

    monkeypatch.setattr(hardening, "load", load)
    monkeypatch.setattr(hardening, "load_generator", lambda _: make_generator(source))
    monkeypatch.setattr(hardening, "train_run", train_run)
    monkeypatch.setattr(hardening, "evaluate", evaluate)
    out = tmp_path / "study"
    result = hardening.harden(tmp_path / "w", "g", ["train.epochs=5"], workdir=out, rounds=1)
    again = hardening.harden(tmp_path / "w", "g", ["train.epochs=5"], workdir=out, rounds=2)
    assert again.rounds[:2] == result.rounds and len(evaluated) == 3
    assert [row["round"] for row in again.rounds] == [0, 1, 2]
    assert [str(config.train.init_from) for config, _ in trained[1:]] == [
        str((tmp_path / "w").resolve()),
        str((out / "round1").resolve()),
    ]
    first = trained[0][0]
    assert first.data.path == str((out / "restored" / "pack").resolve())
    assert first.train.epochs == 5 and first.optimizer.learning_rate == pytest.approx(3e-4)
    assert config.train.init_from == "" and [name for name, *_ in evaluated] == [
        "best/w",
        "best/round1",
        "best/round2",
    ]
    assert json.loads((out / "harden.json").read_text())["rounds"] == again.rounds
    assert again.rounds[1]["auc_plain"] == 0.5 and again.rounds[1]["auc_restored"] == 1.0
    with pytest.raises(UsageError, match="other settings"):
        hardening.harden(out / "round1", "g", workdir=out)
    with pytest.raises(UsageError, match="rounds must be"):
        hardening.harden(tmp_path / "w", "g", workdir=out, rounds=0)


def test_a_detector_that_learns_masks_of_the_data_is_refused_before_anything_is_restored(
    tmp_path, monkeypatch
):
    config = load_config(
        "resnet18:smoke", ["loss.mask=1.0", "model.frame_classifier.mask_head=True"]
    )
    detector = types.SimpleNamespace(config=config, workdir=tmp_path, data_sha256="")
    data = object.__new__(Pack)
    data.path, data.has_masks = tmp_path, True
    monkeypatch.setattr(hardening, "load", lambda _: detector)
    monkeypatch.setattr(hardening, "load_generator", lambda _: None)
    monkeypatch.setattr(hardening, "_open_data", lambda *_: data)
    with pytest.raises(UsageError, match="override loss.mask=0 and model.frame_classifier.mask_"):
        hardening.harden(tmp_path / "w", "g", workdir=tmp_path / "study", rounds=1)
    assert not (tmp_path / "study").exists()
