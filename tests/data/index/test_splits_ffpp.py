"""Tests the repair of FaceForensics++'s official split, which divides seven recordings."""

import json

import pytest

from dfjax.data.index import splits
from dfjax.data.index.records import make_index, make_record

METHODS = ("Deepfakes", "Face2Face", "FaceSwap", "NeuralTextures")
STRADDLING = ["605", "606", "639", "640", "755", "756", "837", "838", "875", "876", "954", "955"]
STRADDLING += ["982", "983"]

pytestmark = pytest.mark.samples


@pytest.fixture(scope="module")
def ffpp(samples):
    """Returns all 1,000 real and 4,000 fake rows at c23, from the names in the official files."""
    root = samples / "ffpp"
    films = json.loads((root / "conversion_dict.json").read_text())
    rows = []
    for split in ("train", "val", "test"):
        for a, b in json.loads((root / "splits" / f"{split}.json").read_text()):
            for target, donor in ((a, b), (b, a)):
                fields = {
                    "dataset": "ffpp",
                    "split": split,
                    "target_id": target,
                    "origin_id": films[target].rsplit(" ", 1)[0],
                }
                real = f"ffpp/youtube/c23/{target}"
                rows.append(make_record(video_id=real, label=0, **fields))
                for method in METHODS:
                    name = f"ffpp/{method}/c23/{target}_{donor}"
                    fake = {"video_id": name, "label": 1, "method": method, "donor_ids": [donor]}
                    rows.append(make_record(**fake, pair_id=real, **fields))
    return make_index(rows)


def crossing(index):
    spread = index.groupby("origin_id")["split"].nunique()
    reals = index[index["label"] == 0]
    return sorted(reals["target_id"][reals["origin_id"].isin(spread.index[spread > 1])])


def test_repair_moves_only_what_straddles(ffpp):
    assert (len(ffpp), crossing(ffpp)) == (5000, STRADDLING)
    repaired = splits.repair(ffpp, "origin")
    fixed = ffpp.assign(split=repaired.split)
    assert crossing(fixed) == []
    # Seven recordings in no common component need seven moves; each is one pair of sequences.
    assert len(repaired.moved) == 7 and repaired.videos == 7 * 10
    moved = set(ffpp["target_id"][fixed["split"] != ffpp["split"]])
    pairs = {tuple(m[0].rsplit("/", 1)[1].split("_")) for m in repaired.moved}
    assert moved == {name for pair in pairs for name in pair}
    assert all(set(pair) & set(STRADDLING) for pair in pairs)
    side = dict(zip(ffpp["target_id"], fixed["split"]))
    assert (side["755"], side["756"], side["954"], side["955"]) == ("train",) * 4
    # No pair of the official split is cut, and nothing moves twice.
    assert fixed.groupby(ffpp["target_id"])["split"].nunique().max() == 1
    assert splits.repair(fixed, "origin").moved == []


@pytest.mark.parametrize("by", ["identity", "origin", "group"])
def test_dealt_by_ratio_all_methods_are_alike(ffpp, by):
    split = splits.split_by_ratios(ffpp, by=by, ratios=(0.72, 0.14, 0.14))
    counts = ffpp.assign(split=split).groupby(["method", "split"]).size().unstack()
    assert counts.to_dict("index") == {
        name: {"test": 140, "train": 720, "val": 140} for name in ("real", *METHODS)
    }
