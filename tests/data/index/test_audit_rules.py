"""Tests each rule of the audit on small tables: when it reports a finding and when it does not."""

import dataclasses

import numpy as np
import pandas as pd
import pytest

from dfjax.data.index.audit import RULES, balance, files, leaks, properties, shortcut
from dfjax.data.index.audit.findings import Evidence
from dfjax.data.index.records import make_index, make_record


def make_table(n=120, **columns):
    """Returns n real videos and n fakes of them, split 80/10/10, with equal properties."""
    rng = np.random.default_rng(0)
    rows = []
    for i in range(n):
        split = ("train",) * 8 + ("val", "test")
        for label in (0, 1):
            frames = int(rng.integers(90, 110))
            rows.append(
                make_record(
                    video_id=f"{'rf'[label]}{i:03d}",
                    dataset="d",
                    label=label,
                    method=("real", "swap")[label],
                    split=split[i // 2 % 10],
                    target_id=str(i),
                    donor_ids=[str(i ^ 1)] * label,
                    origin_id=f"film{i}",
                    pair_id=f"r{i:03d}" if label else None,
                    group=f"couple{i // 2}",
                    n_frames=frames,
                    duration=frames / 25,
                    fps=25.0,
                    width=640,
                    height=480,
                    codec="h264",
                    bitrate=int(rng.normal(1e6, 1e5)),
                    bytes=int(frames * rng.normal(5e3, 5e2)),
                    sha256=f"{label}-{i}",
                )
            )
    return make_index(rows).assign(**columns)


def gather(index, faces=None):
    return Evidence(index, properties.compute_properties(index, faces), faces, [])


def run(*rules, index):
    evidence = gather(index)
    return {f["code"]: f for rule in rules for f in rule(evidence)}


def test_a_sound_table_has_no_finding():
    found = run(*RULES, index=make_table())
    assert set(found) == {"faces_not_checked"}


@pytest.mark.parametrize(
    ("rule", "column", "code"),
    [
        (leaks.identities, "identities", "identity_across_splits"),
        (leaks.origins, "origin_id", "origin_across_splits"),
        (leaks.videos, "sha256", "video_across_splits"),
        (leaks.groups, "group", "group_across_splits"),
    ],
)
def test_leaks_are_named_with_their_videos(rule, column, code):
    index = make_table()
    test = index.index[index["split"] == "test"][0]
    index.at[test, column] = index.at[0, column]
    finding = run(rule, index=index)[code]
    assert finding["severity"] == "error"
    assert {index.at[0, "video_id"], index.at[test, "video_id"]} <= set(finding["ids"])
    assert "train/test 1" in finding["message"]
    index["split"] = "none"
    assert run(rule, index=index) == {}


def test_a_fake_apart_from_its_real():
    index = make_table()
    fake = index.index[(index["split"] == "test") & (index["label"] == 1)][0]
    index.at[fake, "pair_id"] = "r000"
    found = run(leaks.videos, index=index)["video_across_splits"]
    assert {"r000", index.at[fake, "video_id"]} <= set(found["ids"])


def test_a_group_is_not_told_twice():
    """The leak is reported as that of a recording, a finding which can be accepted alone."""
    index = make_table()
    test = index.index[index["split"] == "test"][0]
    for column in ("group", "origin_id"):
        index.at[test, column] = index.at[0, column]
    assert set(run(leaks.origins, leaks.groups, index=index)) == {"origin_across_splits"}


def test_labels_that_contradict_and_copies():
    index = make_table()
    index.at[1, "sha256"] = index.at[0, "sha256"]
    index.at[4, "sha256"] = index.at[2, "sha256"]
    found = run(leaks.label_conflicts, leaks.copies, index=index)
    assert found["label_conflict"]["ids"] == ["f000", "r000"]
    assert found["duplicate_file"]["ids"] == ["r001", "r002"]


@pytest.mark.parametrize(("n", "severity"), [(25, "warning"), (60, "error")])
def test_eight_frames_against_fifty(n, severity):
    index = make_table(n)
    index["n_frames"] = np.where(index["label"] == 1, 8, 50)
    found = run(properties.lengths, index=index)["length_by_class"]
    assert found["severity"] == severity
    assert "6.2x" in found["message"]
    block = properties.summarise_lengths(gather(index))
    assert block["real"] == {"n": n, "mean": 50.0, "sd": 0.0}
    assert block["ratio"] == 6.25


def test_the_length_block_by_hand():
    index = make_table(2)
    index["n_frames"] = [10, 4, 14, np.nan]
    block = properties.summarise_lengths(gather(index))
    assert block["real"] == {"n": 2, "mean": 12.0, "sd": pytest.approx(8**0.5)}
    assert block["fake"] == {"n": 1, "mean": 4.0, "sd": None}
    assert block["ratio"] == 3.0


def test_crops_stand_in_for_unknown_lengths():
    index = make_table(2, n_frames=None)
    index["frame_indices"] = [list(range(k)) for k in (5, 3, 5, 3)]
    table = properties.compute_properties(index, None)
    assert table["length"].tolist() == table["crops"].tolist() == [5, 3, 5, 3]


def test_auc_by_hand():
    assert properties.measure_auc(np.array([1.0, 2.0]), np.array([2.0, 3.0])) == 3.5 / 4


@pytest.mark.parametrize(
    ("column", "real", "fake", "code"),
    [
        ("fps", 25.0, 30.0, "fps_by_class"),
        ("width", 640, 320, "pixels_by_class"),
        ("bitrate", 2e6, 1e6, "bitrate_by_class"),
        ("codec", "h264", "vp9", "codec_by_class"),
    ],
)
def test_properties_that_tell_the_classes_apart(column, real, fake, code):
    index = make_table()
    index[column] = np.where(index["label"] == 1, fake, real)
    found = run(properties.numbers, properties.categories, index=index)
    assert found[code]["severity"] == "warning"
    assert set(found) - {code} <= {"aspect_by_class"}


def test_test_videos_of_another_kind():
    index = make_table()
    index.loc[index["split"] == "test", "fps"] = 60.0
    found = run(properties.shifts, index=index)["properties_by_split"]
    assert "test differs from train in frame rate" in found["message"]


def test_balance():
    index = make_table(30)
    assert (
        "only 30 real and 30 fake"
        in run(balance.small_class, index=index)["small_class"]["message"]
    )
    reals = index["label"] == 0
    few = index[~reals | (index.index < 20)]
    assert "3.0x" in run(balance.class_balance, index=few)["class_imbalance"]["message"]
    only = index[reals | (index["split"] != "val")]
    assert "val has no fake" in run(balance.class_missing, index=only)["class_missing"]["message"]
    index.loc[~reals & (index["split"] == "test"), "method"] = "new"
    found = run(balance.method_balance, index=index)
    assert set(found["method_not_trained"]["ids"]) == set(
        index["video_id"][index["method"] == "new"]
    )


@pytest.mark.parametrize(("n", "severity"), [(25, "warning"), (40, "error")])
def test_one_source_per_class(n, severity):
    index = make_table(n)
    index["dataset"] = np.where(index["label"] == 1, "fakes", "reals")
    assert run(balance.sources, index=index)["one_source_per_class"]["severity"] == severity
    index.loc[0, "dataset"] = "fakes"
    assert set(run(balance.sources, index=index)) == {"one_class_per_source"}


def probe(index):
    evidence = gather(index)
    result = shortcut.run_probe(evidence)
    return result, {f["code"]: f for f in shortcut.make_rule(result)(evidence)}


def test_probe_is_silent_on_equal_classes():
    result, found = probe(make_table())
    assert abs(result.auc - 0.5) < 3 * result.error
    assert found == {}


def test_probe_names_what_gives_the_class_away():
    index = make_table()
    rng = np.random.default_rng(1)
    fakes = index["label"] == 1
    index.loc[fakes, "bitrate"] = rng.normal(1.3e6, 1e5, fakes.sum()).astype(int)
    result, found = probe(index)
    assert next(iter(result.importance)) == "bitrate"
    assert found["shortcut_probe"]["severity"] == "error"
    assert "mainly by bitrate" in found["shortcut_probe"]["message"]
    assert "re-encode" in found["shortcut_probe"]["message"]
    index.loc[fakes, "bitrate"] = rng.normal(1.1e6, 1e5, fakes.sum()).astype(int)
    assert probe(index)[1]["shortcut_probe"]["severity"] == "warning"


def test_probe_does_not_learn_groups():
    """A property that is constant within a group does not help across groups."""
    index = make_table()
    rng = np.random.default_rng(2)
    for column in ("bitrate", "duration", "bytes"):
        values = rng.normal(1e6, 3e5, 60)
        index[column] = [values[int(g.removeprefix("couple"))] for g in index["group"]]
    assert abs(probe(index)[0].auc - 0.5) < 0.12


def test_probe_wants_forty_of_a_class():
    result, found = probe(make_table(39))
    assert result.auc is None
    assert "needs 40 videos of each class, not 39" in found["shortcut_probe_not_run"]["message"]
    one = make_table(40, group="all")
    assert probe(one)[0].note == "all videos of a class are one group"


def test_what_is_not_known_is_said():
    index = make_table(origin_id=None)
    assert (
        "recordings unknown for 240 of 240"
        in run(*RULES, index=index)["origin_id_unknown"]["message"]
    )
    nothing = make_index(
        [make_record(video_id=str(i), dataset="d", label=i % 2, method="m") for i in range(4)]
    )
    found = run(*RULES, index=nothing)
    assert {"small_class", "identities_unknown", "faces_not_checked"} <= set(found)


def test_evidence_is_what_rules_may_look_at():
    names = {field.name for field in dataclasses.fields(Evidence)}
    assert names == {"index", "properties", "faces", "problems"}
    assert isinstance(gather(make_table(2)).properties, pd.DataFrame)


@pytest.mark.parametrize(("label", "severity"), [(1, "warning"), (0, "error")])
def test_videos_that_a_model_restored_are_found(label, severity):
    index = make_table()
    marked = index.index[index["label"] == label][:2]
    index["restored"] = pd.Series(True, marked).reindex(index.index)
    finding = run(files.restored_files, index=index)["restored_file"]
    assert finding["severity"] == severity
    assert finding["ids"] == sorted(index.loc[marked, "video_id"])
    assert f"{2 * (1 - label)} of them are labelled real" in finding["message"]
    assert run(files.restored_files, index=make_table()) == {}
