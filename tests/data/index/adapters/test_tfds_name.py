"""Tests TFDS data sets by name: packs of this package, and a builder with images."""

import cv2
import numpy as np
import pytest
import tensorflow_datasets as tfds

from dfjax import FAKE, REAL
from dfjax.commands.main import main
from dfjax.data.index.adapters.tfds_name import list_tfds
from dfjax.data.index.records import make_index, make_record, write_index
from dfjax.data.store.pack import open_pack
from dfjax.errors import UsageError


def png(value):
    return cv2.imencode(".png", np.full((8, 8, 3), value, np.uint8))[1].tobytes()


class Stills(tfds.core.GeneratorBasedBuilder, skip_registration=True):
    """TFDS builder of two images in two splits, whose first class is fake."""

    VERSION = tfds.core.Version("1.2.0")
    code_path, pkg_dir_path = None, None

    def _info(self):
        label = tfds.features.ClassLabel(names=["Fake", "Real"])
        features = {"image": tfds.features.Image(shape=(8, 8, 3)), "label": label}
        return tfds.core.DatasetInfo(builder=self, features=tfds.features.FeaturesDict(features))

    def _split_generators(self, dl_manager):
        return {
            "train": self._generate_examples(10, 0),
            "validation": self._generate_examples(20, 1),
        }

    def _generate_examples(self, value, label):
        yield "a", {"image": png(value), "label": label}


def test_images_with_any_order_of_classes(tmp_path):
    builder = Stills(data_dir=str(tmp_path / "tfds"), file_format="array_record")
    builder.download_and_prepare(download_config=tfds.download.DownloadConfig(num_shards=1))
    rows = list_tfds(tmp_path / "tfds", name="stills", out=tmp_path).rows
    assert [(r["label"], r["split"]) for r in rows] == [(FAKE, "train"), (REAL, "val")]
    assert rows[0]["video_id"] == "stills/train/000000"
    image = cv2.imread(str(tmp_path / rows[1]["frames_dir"] / rows[1]["frame_names"][0]))
    assert image[0, 0].tolist() == [20, 20, 20]
    with pytest.raises(UsageError, match="no TFDS data set other"):
        list_tfds(tmp_path / "tfds", name="other", out=tmp_path)


def test_a_pack_by_name_becomes_an_index_that_packs_again(tmp_path, crop):
    rows = []
    for video_id, label, frames in (("s/a", REAL, range(0, 80, 2)), ("s/b", FAKE, [5])):
        for k in frames:  # 40 frames are two records
            crop(tmp_path / "crops" / video_id / f"{k:06d}.jpg", k)
        rows.append(make_record(
            video_id=video_id, dataset="s", label=label, method="swap" if label else "real",
            split="test", frames_dir=f"crops/{video_id}", frame_indices=list(frames)))  # fmt: skip
    write_index(make_index(rows), tmp_path / "index.parquet", command="test")
    pack = ["data", "pack", "--index"]
    data = tmp_path / "tfds"
    assert main([*pack, str(tmp_path / "index.parquet"), "--out", str(data / "mine")]) == 0
    index = tmp_path / "work" / "index.parquet"
    command = ["data", "index", "--adapter", "tfds:mine", "--root", str(data), "--out", str(index)]
    assert main([*command, "--workers", "1"]) == 0
    assert main([*pack, str(index), "--out", str(tmp_path / "again")]) == 0
    old, new = open_pack(data / "mine"), open_pack(tmp_path / "again")
    kept = ["video_id", "label", "method", "split", "frame_indices"]
    assert old.index[kept].equals(new.index[kept])
    numbers = old.frame_numbers(0)
    assert np.array_equal(old.read(0, numbers), new.read(0, numbers))


@pytest.fixture
def stills(tmp_path):
    builder = Stills(data_dir=str(tmp_path / "tfds"), file_format="array_record")
    builder.download_and_prepare(download_config=tfds.download.DownloadConfig(num_shards=1))
    return tmp_path / "tfds" / "stills" / "1.2.0"


def change(path, *replacements):
    text = path.read_text()
    for old, new in replacements:
        assert old in text
        text = text.replace(old, new)
    path.write_text(text)


IMAGE = "tensorflow_datasets.core.features.image_feature.Image"


def test_a_class_that_features_json_names_is_never_imported(stills, tmp_path, monkeypatch):
    """TFDS would import `evil`, also from the folder that `python -m` was started in."""
    (tmp_path / "evil.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')")
    monkeypatch.syspath_prepend(tmp_path)
    change(stills / "features.json", (IMAGE, "evil.Feature"))
    with pytest.raises(UsageError, match="unknown kind of the feature image 'Feature'"):
        list_tfds(tmp_path / "tfds", name="stills", out=tmp_path)
    change(stills / "features.json", ("evil.Feature", "evil.Image"))
    assert len(list_tfds(tmp_path / "tfds", name="stills", out=tmp_path).rows) == 2
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    ("file", "old", "new", "message"),
    [
        ("features.json", "{", "", "is damaged"),
        ("features.json", '"pythonClassName": "tensor', '"name": "tensor', "has no .*pythonClass"),
        ("dataset_info.json", '"stills"', '"../stills"', "cannot be part of a file's"),
        ("dataset_info.json", '"train"', '"other"', "lacks files stills-other"),
        ("dataset_info.json", "array_record", "tfrecord", "only array_record is read"),
        ("dataset_info.json", '"name"', '"nom"', "has no name"),
    ],
)
def test_damaged_descriptions_are_one_line(stills, tmp_path, file, old, new, message):
    change(stills / file, (old, new))
    with pytest.raises(UsageError, match=message) as error:
        list_tfds(tmp_path / "tfds", name="stills", out=tmp_path)
    assert "\n" not in str(error.value)


def test_files_of_other_folders_are_not_read(stills, tmp_path):
    """TFDS follows the template of the paths in `dataset_info.json`."""
    template = "{DATASET}-{SPLIT}.{FILEFORMAT}-{SHARD_X_OF_Y}"
    change(stills / "dataset_info.json", (template, f"../other/{template}"))
    assert len(list_tfds(tmp_path / "tfds", name="stills", out=tmp_path).rows) == 2
