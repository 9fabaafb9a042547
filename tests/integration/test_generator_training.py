"""A generator is trained by the same loop as detectors: it resumes bitwise, on any mesh."""

import json

import jax
import numpy as np
import pandas as pd
import pytest
from final_state import read_final_state

from dfjax.config import load_config
from dfjax.data.store.pack import open_pack
from dfjax.errors import UsageError
from dfjax.experiment import run_data
from dfjax.experiment.parts import make_parts, make_step
from dfjax.experiment.train import run_training
from dfjax.inference.detector import load
from dfjax.inference.generator import load_generator
from dfjax.studies.hardening import harden
from dfjax.training import sharding
from dfjax.training.interrupt import Interrupt, Stopped

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("compiled_quickly")]

SMALL = {
    "preprocess.size": 24, "data.frames": 2, "data.synthetic.videos": 32, "data.synthetic.size": 24,
    "data.synthetic.identities": 16, "data.synthetic.frames": 4,
    "model.unet.channels": (8, 16), "model.unet.width": 1.0, "model.unet.conv_lstm": (8,),
    "model.patch_gan.channels": (8, 8, 8, 8), "model.patch_gan.width": 1.0,
    "model.patch_gan.spectral_norm": True, "loss.perceptual.weight": 0.0,
    "train.batch_size": 8, "train.ema_decay": 0.9, "writers.tensorboard": False,
}  # fmt: skip


@pytest.fixture(scope="module")
def pack(tmp_path_factory):
    """Pairs of synthetic videos, with flow."""
    return run_data.synthetic_pack(
        load_config("defake:smoke", SMALL), tmp_path_factory.mktemp("set")
    )


def make_config(pack, **changes):
    return load_config("defake:smoke", SMALL | {"data.path": pack} | changes)


@pytest.fixture(scope="module")
def trained(pack, tmp_path_factory):
    """The workdir of a run that was not interrupted."""
    workdir = tmp_path_factory.mktemp("run")
    summary = run_training(make_config(pack), workdir)
    assert summary["steps"] == 4 and summary["epochs"] == 2
    return workdir


class StopAfter(Interrupt):
    """Requests a stop after some steps."""

    def __init__(self, steps):
        super().__init__()
        self.steps = steps

    def check(self):
        self.steps -= 1
        if self.steps == 0:
            self.request("test")
        super().check()


def test_a_run_that_was_stopped_goes_on_bitwise(pack, trained, tmp_path):
    config = make_config(pack)
    with pytest.raises(Stopped):
        run_training(config, tmp_path, interrupt=StopAfter(3))
    before, _ = read_final_state(tmp_path)
    assert 0 < before < 4
    run_training(config, tmp_path)
    step, (variables, training) = read_final_state(tmp_path)
    expected_step, (expected, expected_training) = read_final_state(trained)
    assert step == expected_step == 4
    assert {"params", "opt_state", "adversary"} <= training.keys()
    assert {"params", "batch_stats", "opt_state"} == training["adversary"].keys()
    jax.tree.map(np.testing.assert_array_equal, variables, expected)
    jax.tree.map(np.testing.assert_array_equal, training, expected_training)


def test_terms_validation_and_sheets_are_written(trained):
    rows = [json.loads(line) for line in (trained / "metrics.jsonl").read_text().splitlines()]
    last = [row for row in rows if row["split"] == "train"][-1]
    terms = ("restoration", "adversarial", "flow_consistency")
    total = sum(last[f"loss_{name}"] for name in terms)
    np.testing.assert_allclose(last["loss"], total, rtol=1e-4)
    assert last["loss_restoration"] == pytest.approx(10 * last["raw_restoration"], rel=1e-4)
    validated = [row for row in rows if row["split"] == "val"][-1]
    assert {"loss", "l1", "psnr", "ssim", "psnr_gain"} <= validated.keys()
    assert sorted(path.name for path in (trained / "samples").iterdir()) == [
        "epoch001.png",
        "epoch002.png",
    ]


def test_its_workdir_is_a_generator_and_no_detector(trained):
    generator = load_generator(trained)
    clips = np.random.default_rng(0).integers(0, 256, (3, 4, 30, 26, 3), np.uint8)
    restored = generator.restore(clips)
    assert restored.shape == clips.shape and restored.dtype == np.uint8
    np.testing.assert_array_equal(generator.restore(clips[:1]), restored[:1])
    with pytest.raises(UsageError, match="is a generator"):
        load(trained)


@pytest.mark.release  # colabs/defake_and_harden.py is shorter
def test_a_detector_is_hardened_against_it(pack, trained, tmp_path):
    """A round with nothing replaced: restore, fine-tune, score both kinds of fakes."""
    sizes = {"preprocess.size": 32, "data.train_clips": 1, "writers.tensorboard": False}
    detector = tmp_path / "detector"
    run_training(load_config("meso4:smoke", sizes | {"data.path": pack}), detector)
    options = ["train.epochs=1"]
    result = harden(detector, trained, options, workdir=tmp_path / "study", rounds=1)
    assert [row["round"] for row in result.rounds] == [0, 1]
    for row in result.rounds:
        report = pd.read_parquet(
            tmp_path / "study/eval" / f"round{row['round']}/predictions.parquet"
        )
        scores = report.groupby("video_id").agg({name: "first" for name in ("label", "method")})
        scores["fake_prob"] = report.groupby("video_id")["fake_prob"].mean()
        reals = scores.loc[scores["label"] == 0, "fake_prob"].to_numpy()
        for name, restored in (("auc_plain", False), ("auc_restored", True)):
            chosen = (scores["label"] == 1) & ((scores["method"] == "restored") == restored)
            fakes = scores.loc[chosen, "fake_prob"].to_numpy()
            assert len(fakes) == len(reals) > 3
            above = np.sign(fakes[:, None] - reals).mean() / 2 + 0.5
            assert row[name] == pytest.approx(above)
    study = tmp_path / "study"
    trained_on = json.loads((study / "round1" / "config.json").read_text())
    assert trained_on["data"]["path"] == str(study / "restored" / "pack")
    assert trained_on["train"]["init_from"] == str(detector)
    assert not any(flag["severity"] == "error" for flag in read_flags(study / "eval" / "round1"))
    again = harden(detector, trained, options, workdir=study, rounds=1)
    assert again.rounds == result.rounds


def read_flags(folder):
    return json.loads((folder / "metrics.json").read_text())["flags"]


def step_on(pack, shape):
    """Returns both networks and the metrics after a step on a mesh of this shape."""
    mesh = dict(zip(("mesh.data", "mesh.fsdp", "mesh.tensor"), shape))
    plain = {
        "optimizer.name": "sgd", "optimizer.learning_rate": 0.1, "optimizer.clip_norm": 0.0,
        "schedule.name": "constant",
    }  # fmt: skip
    config = make_config(pack, **plain, **mesh)
    opened = open_pack(pack)
    rows = {split: run_data.split_rows(opened, config, split) for split in ("train", "val")}
    with pytest.MonkeyPatch.context() as patch:
        devices = jax.devices()[: int(np.prod(shape))]
        patch.setattr(jax, "devices", lambda *backend: devices)
        parts = make_parts(config, opened, rows)
    rng = np.random.default_rng(0)
    batch = {k: np.zeros((8, *v.shape[1:]), v.dtype) for k, v in parts.example.items()}
    for name in ("clip", "source"):
        batch[name] = rng.integers(0, 256, batch[name].shape).astype(np.uint8)
    batch |= {"mask": batch["mask"] | True, "weight": batch["weight"] + 1}
    init = jax.jit(parts.init, out_shardings=parts.shardings)
    state = init(parts.root_rng, batch)
    # A residual generator starts as the identity: its other layers have no gradient yet.
    params = jax.tree.map(lambda leaf: leaf + 0.1, state.params)
    state = state.replace(params=jax.device_put(params, parts.shardings.params))
    step = make_step(config, parts)
    new, metrics = step(state, sharding.put_batch(batch, parts.mesh), parts.root_rng)
    trees = (new.params, new.batch_stats, new.ema, new.adversary["params"])
    return jax.device_get((trees, metrics))


def test_a_mesh_that_splits_batch_and_parameters_takes_the_same_step(pack):
    for found, expected in zip(step_on(pack, (2, 2, 2)), step_on(pack, (1, 1, 1))):
        jax.tree.map(
            lambda a, b: np.testing.assert_allclose(a, b, rtol=2e-4, atol=2e-5), found, expected
        )
