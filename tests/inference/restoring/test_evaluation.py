"""Tests the evaluation of a generator on a small pack with pairs."""

import copy
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
from dfjax.inference.evaluate import evaluate
from dfjax.inference.restoring.evaluation import evaluate_restoration
from dfjax.inference.restoring.video_measures import measure_quality


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


def test_scores_are_those_of_evaluate_and_restoration_is_of_whole_videos(
    config, detector, pairs, tmp_path
):
    """A detector of 3 frames judges what a generator of 2 frames restores window by window."""
    longer = dataclasses.replace(detector, config=copy.deepcopy(detector.config))
    longer.config.data.update({"frames": 3, "eval_clips": 2})
    seen = []

    class Darker(Oracle):
        def restore(self, clips):
            seen.append(clips.shape)
            return clips // 2

    darker = Darker(config, tmp_path / "g")
    report = evaluate_restoration(darker, longer, out=tmp_path / "out")
    assert set(seen) == {(8, 2, 32, 32, 3)}
    table = pd.read_csv(tmp_path / "out" / "restoration.csv").set_index(["video_id", "arm"])
    plain = evaluate(longer, split="test", index=pairs, out=tmp_path / "plain").predictions
    by_video = plain.groupby("video_id")["fake_prob"].mean()
    found = table["fake_prob"].drop(["histogram", "restored"], level="arm").droplevel("arm")
    np.testing.assert_allclose(found, by_video[found.index], atol=1e-6)
    assert set(found.index) <= set(by_video.index) and len(found) > 4
    dark = table.xs("restored", level="arm")["fake_prob"]
    assert (dark < found[dark.index]).all()
    assert report.arms["restored"]["flip_rate"] > 0


@pytest.mark.parametrize("frames", [1, 2, 15, 16, 17, 31, 40])
def test_every_frame_and_pair_of_frames_is_measured_once(frames):
    rng = np.random.default_rng(frames)
    target = rng.integers(0, 256, (frames, 8, 8, 3)).astype(np.uint8)
    target[:] = target[0]  # no motion
    video = np.clip(target + rng.integers(-9, 10, target.shape), 0, 255).astype(np.uint8)
    other, still = target[:3], np.repeat(target[:1], min(frames, 3), axis=0)
    found = measure_quality([video, other], [target, still])
    error = np.square(video / 255 - target / 255).mean((1, 2, 3))
    assert found["psnr"][0] == pytest.approx((-10 * np.log10(error)).mean(), abs=1e-3)
    assert found["psnr"][1] == pytest.approx(100)
    if frames == 1:
        assert "warp_error" not in found
        return
    moved = np.abs(video[1:] / 255 - video[:-1] / 255).mean()
    assert found["warp_error"] == pytest.approx([moved, 0], rel=1e-4, abs=1e-6)


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
