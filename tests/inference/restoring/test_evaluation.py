"""Tests the evaluation of a generator on a small pack with pairs."""

import dataclasses
import json

import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest

from dfjax.commands.main import main
from dfjax.config import load_config
from dfjax.data.store.pack import open_pack, pack
from dfjax.data.synthetic import generate
from dfjax.inference import generator as generators
from dfjax.inference.detector import Detector
from dfjax.inference.restoring.evaluation import evaluate_restoration


@pytest.fixture(scope="module")
def pairs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pairs")
    generate(folder / "raw", videos=40, identities=20, frames=6, size=32, seed=1)
    pack(folder / "raw" / "index.parquet", folder / "pack")
    return folder / "pack"


@pytest.fixture(scope="module")
def config(pairs):
    config = load_config("dual_stream")
    config.data.update({"frames": 2, "stride": 1, "crop_size": 32, "path": str(pairs)})
    config.eval.batch_size = 8
    return config


class Oracle:
    """Restores each fake to its real clip, which it finds by the pixels of the fake."""

    checkpoint, checkpoint_sha256 = "best/1", "c" * 64

    def __init__(self, config, workdir):
        self.config, self.workdir = config, workdir
        store = open_pack(config.data.path)
        place = {name: row for row, name in enumerate(store.index["video_id"])}
        self.known = {}
        for row, pair in enumerate(store.index["pair_id"]):
            if isinstance(pair, str):
                for frame in store.frame_numbers(row).tolist():
                    (fake,) = store.read(row, [frame])
                    self.known[fake.tobytes()] = store.read(place[pair], [frame])[0]

    def restore(self, clips):
        flat = clips.reshape(-1, *clips.shape[2:])
        return np.stack([self.known.get(f.tobytes(), f) for f in flat]).reshape(clips.shape)


@pytest.fixture(scope="module")
def detector(config, tmp_path_factory):
    def apply(variables, inputs, *, train, rngs):
        means = inputs["clip"].mean((1, 2, 3))
        return variables["scale"] * (means[:, 0] - 100), {"features": means}, {}

    def preprocess(batch, rng, *, train):
        return {"clip": batch["clip"].astype(jnp.float32)}

    return Detector(
        config=config,
        variables={"scale": jnp.float32(0.1)},
        checkpoint="best/7",
        checkpoint_sha256="d" * 64,
        workdir=tmp_path_factory.mktemp("detector"),
        apply=apply,
        preprocess=preprocess,
    )


def test_a_perfect_generator_has_perfect_figures(config, detector, tmp_path):
    oracle = Oracle(config, tmp_path / "g")
    report = evaluate_restoration(oracle, detector, identity=detector, out=tmp_path / "out")
    restored, base = report.arms["restored"], report.arms["unchanged"]
    assert restored["psnr"] == pytest.approx(100) and restored["ssim"] == pytest.approx(1)
    assert base["psnr"] < 50 and restored["psnr_gain"] == pytest.approx(100 - base["psnr"])
    assert restored["identity_similarity"] == pytest.approx(1, abs=1e-6)
    assert restored["auc"] == pytest.approx(0.5, abs=1e-9)  # a fake scores as its own real video
    assert restored["auc_drop"] == pytest.approx(base["auc"] - 0.5)
    assert report.n["fakes"] > 0 and 0 <= restored["warp_error"] < 0.2
    written = json.loads((tmp_path / "out" / "restoration.json").read_text())
    assert written["arms"]["restored"]["psnr"] == restored["psnr"]
    table = pd.read_csv(tmp_path / "out" / "restoration.csv")
    assert set(table["arm"]) == {"unchanged", "histogram", "restored", "real"}
    assert (tmp_path / "out" / "sheet.png").stat().st_size > 10_000
    assert report.describe()[0].startswith(f"{report.n['fakes']} fakes, split test")


def test_the_verb_prints_the_table(config, monkeypatch, tmp_path, capsys):
    @dataclasses.dataclass
    class Same:
        config: object
        workdir: object
        checkpoint: str = "best/3"
        checkpoint_sha256: str = "e" * 64

        def restore(self, clips):
            return clips

    monkeypatch.setattr(generators, "load_generator", lambda *_: Same(config, tmp_path))
    assert main(["evaluate", "--defake", str(tmp_path), "--split", "val"]) == 0
    assert "psnr_gain" in capsys.readouterr().out
    report = json.loads((tmp_path / "eval" / "restoration" / "restoration.json").read_text())
    assert report["arms"]["restored"]["psnr_gain"] == 0 and report["split"] == "val"
    assert main(["evaluate", "--workdir", "w", "--detector", "d"]) == 2
