"""Masks from mask video to batch: crops, pack, damaged files, clips whose mask is not known."""

import cv2
import numpy as np
import pytest

from dfjax.data.clips.batching import EpochOptions
from dfjax.data.clips.pipeline import make_train_batches
from dfjax.data.clips.sampling import Sampling
from dfjax.data.index.records import make_index, make_record, read_index, write_index
from dfjax.data.store.pack import open_pack, pack
from dfjax.data.synthetic.samples import synthesise

SIZE, N = 8, 34  # more than one record
VIDEOS = {"real": None, "whole": N, "part": 20, "bare": None}  # frames with masks


def picture(frame):
    mask = np.zeros((SIZE, SIZE), np.uint8)
    mask[: 1 + frame % SIZE] = 255
    return mask


@pytest.fixture
def index(tmp_path):
    rows = []
    for name, masks in VIDEOS.items():
        folder = tmp_path / "crops" / name
        folder.mkdir(parents=True)
        for frame in range(N):
            cv2.imwrite(str(folder / f"{frame:06d}.jpg"), np.full((SIZE, SIZE, 3), frame, np.uint8))
        fields = {}
        if masks:
            place = tmp_path / "masks" / name
            place.mkdir(parents=True)
            for frame in range(masks):
                cv2.imwrite(str(place / f"{frame:06d}.png"), picture(frame))
            fields = {"mask_dir": f"masks/{name}", "mask_indices": list(range(masks))}
        rows.append(
            make_record(
                video_id=f"s/{name}", dataset="s", label=int(name != "real"), method="swap",
                split="train", frames_dir=f"crops/{name}", frame_indices=list(range(N)), **fields,
            )
        )  # fmt: skip
    write_index(make_index(rows), tmp_path / "index.parquet", command="test")
    return tmp_path / "index.parquet"


def test_a_pack_gives_masks_back_and_none_where_one_is_missing(index, tmp_path):
    report = pack(index, tmp_path / "pack")
    opened = open_pack(tmp_path / "pack")
    assert opened.has_masks and not report.errors
    region = opened.read_region(1, [33, 0, 31])
    np.testing.assert_array_equal(region[..., 0], [picture(n) for n in (33, 0, 31)])
    assert region.dtype == np.uint8
    assert opened.read_region(2, [18, 19]) is not None
    assert opened.read_region(2, [19, 20]) is None
    assert opened.read_region(3, [0]) is None


def test_damaged_masks_are_left_out_and_listed(index, tmp_path):
    (tmp_path / "masks/whole/000003.png").write_bytes(b"broken")
    (tmp_path / "masks/whole/000004.png").unlink()
    cv2.imwrite(str(tmp_path / "masks/part/000000.png"), np.zeros((4, 4), np.uint8))
    errors = pack(index, tmp_path / "pack").errors
    assert [(e["video_id"], e["error"]) for e in errors] == [
        ("s/whole", "000003.png: not a mask, or damaged"),
        ("s/whole", "000004.png: No such file or directory"),
        ("s/part", "000000.png: its mask is 4x4, but crops 8x8"),
    ]
    opened = open_pack(tmp_path / "pack")
    assert opened.index["mask_indices"][2] == list(range(1, 20))
    assert opened.read_region(1, [2]) is not None and opened.read_region(1, [3]) is None


@pytest.mark.parametrize(("seed", "whole"), [(0, True), (3, False)])
def test_batches_have_regions_and_say_which_are_known(index, tmp_path, seed, whole):
    pack(index, tmp_path / "pack")
    opened = open_pack(tmp_path / "pack")

    def read(**options):
        how = EpochOptions("none", 4, seed=seed)
        sampling = Sampling(3, "stride", 1)
        batches = make_train_batches(
            opened, np.arange(4), how, sampling=sampling, threads=0, **options
        )
        with batches:
            return next(iter(batches))

    batch, plain = read(masks=True), read()
    assert batch.keys() - plain.keys() == {"region", "region_known"}
    for name in plain:
        np.testing.assert_array_equal(batch[name], plain[name])
    place = {video: row for row, video in enumerate(batch["video_index"].tolist())}
    known = batch["region_known"][[place[video] for video in range(4)]]
    assert (batch["position"][place[2], -1] < 20) == whole
    np.testing.assert_array_equal(known, [True, True, whole, False])
    expected = [picture(n) for n in batch["position"][place[1]]]
    np.testing.assert_array_equal(batch["region"][place[1], ..., 0], expected)
    assert not batch["region"][place[0]].any() and not batch["region"][place[3]].any()


def test_an_index_without_masks_has_the_records_of_before(index, tmp_path):
    rows = read_index(index).drop(columns=["mask_dir", "mask_indices"])
    write_index(rows, tmp_path / "plain.parquet", command="test")
    pack(tmp_path / "plain.parquet", tmp_path / "plain")
    opened = open_pack(tmp_path / "plain")
    assert not opened.has_masks
    assert '"region"' not in (tmp_path / "plain/features.json").read_text()


def test_the_synthetic_set_packs_its_masks_when_asked(tmp_path):
    small = {"videos": 12, "identities": 6, "frames": 4, "size": 32, "workers": 1, "packed": True}
    plain = (synthesise(tmp_path / "a", **small).pack / "checksums.json").read_bytes()
    made = synthesise(tmp_path / "a", **small, masks=True)
    assert made.drawn == 0
    opened = open_pack(made.pack)
    fake = int(np.flatnonzero(opened.index["label"] == 1)[0])
    region = opened.read_region(fake, [0, 1, 2, 3])
    assert region.any() and not region[:, 0].any()  # inside of the face
    again = synthesise(tmp_path / "a", **small).pack
    assert (again / "checksums.json").read_bytes() == plain
