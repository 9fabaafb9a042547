"""Tests the data of a config, with the splits of a run."""

import cv2
import numpy as np
import pytest

from dfjax.config import load_config
from dfjax.data.index.frame_paths import rebase_frames
from dfjax.data.index.records import make_index, make_record, read_index, write_index
from dfjax.data.store.pack import pack
from dfjax.errors import UsageError
from dfjax.experiment import builders
from dfjax.experiment.run_data import check_masks, open_data, reads_masks, split_rows
from dfjax.inference.evaluation_data import open_index


@pytest.fixture(scope="module")
def six(tmp_path_factory):
    """A pack of six videos, all packed as training videos; the value of a frame names its video."""
    root = tmp_path_factory.mktemp("six")
    rows = []
    for number in range(6):
        (root / f"crops/{number}").mkdir(parents=True)
        image = np.full((16, 16, 3), 40 * number, np.uint8)
        cv2.imwrite(str(root / f"crops/{number}/000000.jpg"), image)
        fake = bool(number % 2)
        rows.append(
            make_record(
                video_id=f"d/{number}", dataset="d", label=int(fake),
                method="DF" if fake else "real", split="train", frames_dir=f"crops/{number}",
                frame_indices=[0], face_found=[True], quality=[1.0],
            )
        )  # fmt: skip
    write_index(make_index(rows), root / "index.parquet", command="test")
    pack(root / "index.parquet", root / "pack")
    return root / "pack"


def test_every_video_is_tested_in_one_round_and_read_where_it_is(six, tmp_path):
    tested = []
    for number in (1, 2, 3):
        overrides = [f"data.path={six}", f"data.fold={number}/3"]
        config = load_config("dual_stream:smoke", overrides)
        data = open_data(config, tmp_path)
        parts = [split_rows(data, config, part).tolist() for part in ("train", "val", "test")]
        assert sorted(sum(parts, [])) == list(range(6)) and len(parts[0]) == 2
        tested += parts[2]
        for row in range(6):
            assert abs(int(data.read(row, [0]).mean()) - 40 * row) <= 2
    assert sorted(tested) == list(range(6))


def test_an_index_stands_for_its_pack_and_another_beside_it_for_itself(six, tmp_path):
    assert len(open_index(six, tmp_path)) == len(open_index(six / "index.parquet", tmp_path)) == 6
    half = rebase_frames(read_index(six.parent / "index.parquet")[:3], six.parent, six)
    write_index(half, six / "half.parquet", command="test")
    assert open_index(six / "half.parquet", tmp_path).index["video_id"].tolist() == [
        "d/0",
        "d/1",
        "d/2",
    ]


def test_the_synthetic_set_has_flow_between_the_frames_that_are_sampled_together(tmp_path):
    small = ["data.synthetic.videos=12", "data.synthetic.identities=6"]
    small += ["data.synthetic.frames=5", "data.stride=2"]
    pack = open_data(load_config("two_stream_flow:smoke", small), tmp_path)
    assert pack.flow_stride == 2
    flow = pack.read_flow(0, [0, 2, 3])
    assert flow[0].any() and not flow[1].any()  # between 2 and 3 there is none


def test_a_mask_loss_reads_the_masks_of_the_synthetic_set_or_says_that_there_are_none(tmp_path):
    small = ["data.synthetic.videos=12", "data.synthetic.identities=6"]
    small += ["data.synthetic.frames=5", "model.frame_classifier.mask_head=True"]
    config = load_config("xception:smoke", [*small, "loss.mask=1"])
    pack, rows = open_data(config, tmp_path), np.arange(12)
    check_masks(pack, rows, config)
    assert reads_masks(pack, config)
    pack.index["mask_indices"] = None
    with pytest.raises(UsageError, match="loss.mask needs masks, and no training video of"):
        check_masks(pack, rows, config)
    plain = load_config("xception:smoke", small[:3])
    check_masks(pack, rows, plain)
    assert not reads_masks(pack, plain)
    check_masks(pack, rows, load_config("sbi:smoke", [small[3], "loss.mask=1"]))


@pytest.mark.parametrize(
    ("spec", "overrides"),
    [
        ("effort:smoke", {}),
        ("two_stream_flow:smoke", {"model.two_stream.backbone": "clip_t8"}),
        ("dual_stream:smoke", {"model.dual_stream.hq": "clip_t8"}),
    ],
)
def test_backbones_that_are_vision_transformers_are_adapted_by_factors(
    spec, overrides, monkeypatch
):
    found = []
    monkeypatch.setattr(
        builders, "adapt", lambda model, adapter, parts: found.extend(parts) or model
    )
    builders.make_model(load_config(spec, overrides))
    assert len(found) == 1 and found[0] in {"backbone", "clip_t8", "hq_backbone"}


def test_other_backbones_are_adapted_by_merging(monkeypatch):
    found = []
    monkeypatch.setattr(
        builders, "adapt", lambda model, adapter, parts: found.append(parts) or model
    )
    builders.make_model(load_config("resnet18:smoke"))
    assert found == [[]]
