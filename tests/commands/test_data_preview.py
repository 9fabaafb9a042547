"""`dfjax data preview` on drawn faces: what it shows is what the step would train on."""

import json

import cv2
import numpy as np
import pytest

from dfjax.commands.main import main
from dfjax.config import load_config
from dfjax.experiment import run_data
from dfjax.experiment.preview import load_batch, make_sections

SMALL = [
    "preprocess.size=32",
    "model.dual_stream.lq_size=16",
    "data.frames=2",
    "train.batch_size=4",
]
RECIPE = ["augment.preset=none", "augment.rotate=0.5,-5,5", "augment.flip=0.5,", "mix.cutmix=1.0"]


def as_options(items):
    return [f"--config.{item}" for item in items]


@pytest.mark.slow
def test_a_sheet_without_data(tmp_path, capsys):
    out = tmp_path / "sheet.png"
    arguments = ["--config", "dual_stream:smoke", "--out", str(out), "--clips", "4", "--json"]
    recipe = ["data.self_blend=0.5", "data.pairing=balanced"]
    assert main(["data", "preview", *arguments, *as_options(SMALL + recipe)]) == 0
    result = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert result["clips"] == 4
    assert result["operations"] == {"flip": [0.5]}
    picture = cv2.imread(str(out))
    assert picture is not None and picture.std() > 20
    assert [p.name for p in tmp_path.iterdir()] == ["sheet.png"]


@pytest.fixture(scope="module")
def smoke(tmp_path_factory):
    config = load_config("dual_stream:smoke", SMALL)
    config.data.synthetic.size = 32
    return config, run_data.open_data(config, tmp_path_factory.mktemp("preview"))


@pytest.mark.slow
def test_sections_without_any_change_show_the_batch_itself(smoke):
    config, pack = smoke
    config = load_config("dual_stream:smoke", [*SMALL, "augment.preset=none"])
    batch = load_batch(config, pack)
    first, over_time = make_sections(config, pack, batch)
    recorded, *trained = first.rows
    for row in trained:
        for before, after, label in zip(recorded.tiles, row.tiles, batch["label"]):
            np.testing.assert_array_equal(after.picture, before.picture)
            assert after.target == label and after.caption == ("fake" if label else "real")
    assert [tile.caption for tile in over_time.rows[0].tiles] == [
        f"frame {number}" for number in batch["position"][0]
    ]


def test_every_operation_has_a_row_and_mixtures_their_target(smoke):
    _, pack = smoke
    config = load_config("dual_stream:smoke", SMALL + RECIPE)
    batch = load_batch(config, pack)
    first, _, operations, mixtures = make_sections(config, pack, batch)
    assert [row.title for row in operations.rows] == ["Rotation", "Horizontal flip"]
    turned, mirrored = operations.rows
    assert [tile.caption for tile in turned.tiles] == ["-5", "-1.67", "1.67", "5"]
    plain, flipped = (tile.picture for tile in mirrored.tiles)
    np.testing.assert_array_equal(flipped, plain[:, ::-1])
    (cutmix,) = mixtures.rows
    assert cutmix.title == "CutMix" and "Beta(1)" in cutmix.detail
    assert any(tile.target not in (0, 1) for row in first.rows[1:] for tile in row.tiles)


def test_wrong_usage(tmp_path, capsys):
    out = str(tmp_path / "sheet.png")
    assert main(["data", "preview", "--config", "dual_stream:smoke", "--clips", "3"]) == 2
    refused = ["--config.augment.preset=s9", "--out", out]
    assert main(["data", "preview", "--config", "dual_stream:smoke", *refused]) == 2
    assert "crop_jitter" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
