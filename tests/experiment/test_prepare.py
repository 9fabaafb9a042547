"""From videos to a pack in one call: stages reused, interrupted, refused; splits completed."""

import dataclasses
import json
import shutil

import cv2
import numpy as np
import pandas as pd
import pytest

import dfjax
from dfjax.commands.main import main
from dfjax.data.faces.extract_index import SETTINGS_FILE
from dfjax.data.index.adapters.listing import Listing
from dfjax.data.index.complete_splits import complete_splits
from dfjax.data.index.records import make_index, make_record, read_index
from dfjax.data.store.pack import open_pack
from dfjax.errors import RunError, UsageError
from dfjax.experiment import prepare as preparing
from dfjax.experiment.prepare_plan import make_plan

pytestmark = pytest.mark.usefixtures("compiled_quickly")

CROPS = {"detector": "none", "size": 16, "workers": 1}


def write_video(path, value):
    path.parent.mkdir(parents=True, exist_ok=True)
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), 10, (32, 24))
    for number in range(6):
        writer.write(np.full((24, 32, 3), value + number, np.uint8))
    writer.release()


@pytest.fixture
def videos(tmp_path):
    for number in range(4):
        write_video(tmp_path / f"videos/real/{number}.avi", 40 * number)
        write_video(tmp_path / f"videos/fake/{number}.avi", 40 * number + 20)
    return tmp_path / "videos"


def times(folder):
    """When every file of a finished stage was written."""
    files = [*folder.glob("crops/**/*.*"), *folder.glob("pack/*"), folder / "audit.json"]
    return {file: file.stat().st_mtime_ns for file in (*files, folder / "source/index.parquet")}


def test_one_call_makes_a_pack_and_the_next_one_reuses_it(videos, tmp_path, capsys):
    out = tmp_path / "data"
    pack = dfjax.prepare(videos, out, **CROPS)
    assert pack == out / "pack" and capsys.readouterr().out == ""
    opened = open_pack(pack)
    assert len(opened) == 8 and opened.crop_size == 16
    assert opened.frame_numbers(0).tolist() == list(range(6))  # every frame: any stride fits
    assert set(opened.index["split"]) == {"train", "val", "test"}
    assert {"source", "crops", "index.parquet", "audit.json", "audit.html"} <= {
        path.name for path in out.iterdir()
    }
    assert read_index(out / "index.parquet")["frames_dir"].notna().all()
    config = dfjax.load_config("hybrid:tiny", {"data.path": pack})  # a path is as good as a text
    assert config.data.path == str(pack)
    before = times(out)
    assert dfjax.prepare(videos, out, **CROPS) == pack
    assert times(out) == before
    with pytest.raises(UsageError, match=r"other arguments \(size: 16 -> 32\)"):
        dfjax.prepare(videos, out, **CROPS | {"size": 32})
    with pytest.raises(UsageError, match="holds other files"):
        dfjax.prepare(videos, videos, **CROPS)
    write_video(videos / "real/new.avi", 200)
    assert len(open_pack(dfjax.prepare(videos, out, **CROPS))) == 8
    assert len(open_pack(dfjax.prepare(videos, out, refresh=True, **CROPS))) == 9
    kept = [file for file in times(out) if "crops" in file.parts and "new" not in file.parts]
    assert {file: times(out)[file] for file in kept} == {file: before[file] for file in kept}


def test_a_folder_of_an_older_version_lacks_new_arguments(videos, tmp_path):
    file = tmp_path / "data" / "prepare.json"
    plan = make_plan("folder", detector="none", size=16)
    preparing._claim(plan, videos, file.parent)
    used = json.loads(file.read_text())
    kept = {name: used[name] for name in used if name not in ("flow_stride", "jpeg_quality")}
    file.write_text(json.dumps(kept))
    (file.parent / SETTINGS_FILE).touch()  # faces were cropped
    preparing._claim(plan, videos, file.parent)
    with pytest.raises(UsageError, match=r"other arguments \(flow_stride: None -> 2\)"):
        preparing._claim(dataclasses.replace(plan, flow_stride=2), videos, file.parent)


def test_an_interrupted_call_continues(videos, tmp_path, monkeypatch):
    out = tmp_path / "data"

    def interrupt(*arguments, **options):
        raise KeyboardInterrupt

    for stage in ("pack", "audit_data"):
        with monkeypatch.context() as patch:
            patch.setattr(preparing, stage, interrupt)
            with pytest.raises(KeyboardInterrupt):
                dfjax.prepare(videos, out, **CROPS)
        before = {file: file.stat().st_mtime_ns for file in out.glob("crops/**/*.jpg")}
        assert len(before) == 48
    pack = dfjax.prepare(videos, out, **CROPS)
    assert {file: file.stat().st_mtime_ns for file in before} == before
    assert len(open_pack(pack)) == 8 and (out / "audit.json").is_file()


def test_a_folder_that_is_removed_and_made_anew_is_incomplete(videos, tmp_path, monkeypatch):
    out, build = tmp_path / "data", preparing.build_index

    def build_elsewhere(*arguments, **options):
        shutil.rmtree(out)
        return build(*arguments, **options)

    with monkeypatch.context() as patch:
        patch.setattr(preparing, "build_index", build_elsewhere)
        with pytest.raises(RunError, match="data was removed while it was written: delete"):
            dfjax.prepare(videos, out, **CROPS)
    with pytest.raises(UsageError, match="holds other files"):
        dfjax.prepare(videos, out, **CROPS)
    shutil.rmtree(out)
    assert len(open_pack(dfjax.prepare(videos, out, **CROPS))) == 8


def test_the_verb_lists_what_was_left_out(videos, tmp_path, capsys):
    (videos / "fake/3.avi").write_text("no video")
    command = ["data", "prepare", "--adapter", "folder", "--root", str(videos), "--workers", "1"]
    command += ["--out", str(tmp_path / "data"), "--detector", "none", "--size", "16"]
    assert main([*command, "--every", "2", "--flow-stride", "2", "--json"]) == 1
    captured = capsys.readouterr()
    said = json.loads(captured.out.splitlines()[-1])
    assert said["pack"] == str(tmp_path / "data/pack") and said["videos"] == 7
    (left_out,) = said["left_out"]
    assert left_out["path"] == "fake/3.avi" and "not a video" in left_out["error"]
    assert "not a video" in captured.err and "small_class" in captured.out
    opened = open_pack(said["pack"])
    assert opened.flow_stride == 2 and opened.frame_numbers(0).tolist() == [0, 2, 4]
    assert main([*command, "--detector", "har"]) == 2
    assert "Did you mean 'haar'" in capsys.readouterr().err


def test_wrong_arguments_before_any_face_is_cut_may_be_mended(videos, tmp_path):
    out = tmp_path / "data"
    with pytest.raises(UsageError, match="no videos or images"):
        dfjax.prepare(videos, out, fake_pattern="nothing matches", **CROPS)
    with pytest.raises(UsageError, match="the adapter folder has no option sise"):
        dfjax.prepare(videos, out, sise=3, **CROPS)
    assert not (out / SETTINGS_FILE).exists()
    assert len(open_pack(dfjax.prepare(videos, out, **CROPS))) == 8


def test_data_sets_that_come_as_crops_are_not_cut_again(tmp_path):
    for kind in ("real", "fake"):
        for number in range(3):
            folder = tmp_path / "set" / kind / str(number)
            folder.mkdir(parents=True)
            cv2.imwrite(str(folder / "1.png"), np.full((12, 12, 3), 60 * number, np.uint8))
    pack = dfjax.prepare(tmp_path / "set", tmp_path / "data", adapter="frames", workers=1)
    assert open_pack(pack).crop_size == 12 and not (tmp_path / "data/crops").exists()
    again = dfjax.prepare(tmp_path / "set", tmp_path / "cut", adapter="frames", **CROPS)
    assert open_pack(again).crop_size == 16
    with pytest.raises(UsageError, match="masks are cropped together with faces"):
        dfjax.prepare(tmp_path / "set", tmp_path / "masked", adapter="frames", masks=True)


def test_an_adapter_of_ones_own_may_be_a_function(videos, tmp_path):
    def list_mine(root, *, label=0):
        rows = [
            make_record(video_id=f"m/{file.stem}", dataset="m", label=label, split="test",
                        root=str(root), path=file.name)
            for file in sorted(root.glob("*.avi"))
        ]  # fmt: skip
        return Listing(rows, [], [])

    out = tmp_path / "data"
    index = open_pack(dfjax.prepare(videos / "real", out, adapter=list_mine, **CROPS)).index
    assert set(index["split"]) == {"test"}  # where the data set says so, nothing is assigned
    assert "list_mine" in json.loads((out / "prepare.json").read_text())["adapter"]


def make_table(split, people):
    """Reals and fakes of as many people as wanted, all in one split."""
    rows = []
    for number in range(40):
        kind, person = number % 2, number // 2 % people
        rows.append(
            make_record(
                video_id=f"d/{number:02d}", dataset="d", label=kind, split=split,
                method="swap" if kind else None, target_id=str(person), group=f"d/{number // 2}",
            )
        )  # fmt: skip
    return make_index(rows)


def counts(index, split):
    return pd.crosstab(pd.Series(split), index["label"]).to_dict("index")


def test_only_splits_that_are_missing_are_assigned():
    official = make_table("train", 10).assign(split=["train", "val", "test", "none"] * 10)
    split, notes = complete_splits(official)
    assert split.tolist() == official["split"].tolist() and notes == []
    listed = make_table("train", 10).assign(split=["train"] * 30 + ["test"] * 10)
    split, (note,) = complete_splits(listed)
    assert (split[30:] == "test").all() and set(split[:30]) == {"train", "val"}
    assert "train, val assigned by identity; the official splits are kept" in note
    rest = make_table("none", 10).assign(split=["none"] * 30 + ["test"] * 10)
    split, _ = complete_splits(rest, ratios=(0.5, 0.5, 0.0))
    assert counts(rest, split)["train"] == counts(rest, split)["val"] or "val" in split
    people = rest["target_id"].to_numpy()
    assert not {*people[split == "train"]} & {*people[split == "val"]}
    split, _ = complete_splits(make_table("none", 10))
    assert set(split) == {"train", "val", "test"}


def test_where_everybody_is_connected_groups_are_kept_apart():
    """As in Celeb-DF, where every person is forged onto others."""
    one = make_table("train", 1).assign(split=["train"] * 30 + ["test"] * 10)
    split, (note,) = complete_splits(one)
    table = counts(one, split)
    assert all(table[part][kind] for part in ("train", "val") for kind in (0, 1))
    assert "assigned by group" in note and "people may be in several splits" in note
    tiny = one.iloc[:2].assign(split="train")
    split, (note,) = complete_splits(tiny)
    assert split.tolist() == ["train", "train"] and note.startswith(
        "all videos are assigned to train: by group"
    )
    split, (note,) = complete_splits(tiny.assign(split="val"))
    assert split.tolist() == ["val", "val"] and "no video is left for training" in note
    with pytest.raises(UsageError, match="ratios of train and val must not all be 0"):
        complete_splits(one, ratios=(0.0, 0.0, 1.0))
