"""A detector of a file whose header names its data without their folder."""

import hashlib
import types

import jax.numpy as jnp
import pytest

import dfjax
from dfjax.config import load_config
from dfjax.data.store.pack import pack
from dfjax.data.synthetic import generate
from dfjax.errors import UsageError
from dfjax.experiment import workdir as workdirs
from dfjax.inference.calibrate import calibrate
from dfjax.inference.detector import Detector
from dfjax.inference.evaluation_data import open_evaluation_data, open_run_data
from dfjax.inference.probe import probe
from dfjax.inference.restoring.evaluation import evaluate_restoration
from dfjax.inference.robustness import evaluate_robustness
from dfjax.studies import hardening


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with a pack, where the detector was trained or was not."""
    folder = tmp_path_factory.mktemp("data")
    generate(folder / "made", videos=12, identities=6, frames=1, size=16, workers=1)
    pack(folder / "made" / "index.parquet", folder / "pack")
    return folder


@pytest.fixture
def config(folder, monkeypatch):
    monkeypatch.chdir(folder)
    config = load_config("meso4")
    config.data.update({"frames": 1, "crop_size": 16, "path": "pack"})
    return config


@pytest.fixture
def detector(config, tmp_path):
    def apply(variables, inputs, *, train, rngs):
        return inputs["clip"].mean((1, 2, 3, 4)), {}, {}

    def preprocess(batch, rng, *, train):
        return {"clip": batch["clip"].astype(jnp.float32)}

    return Detector(
        config=config, variables={}, checkpoint="best/1", checkpoint_sha256="a" * 64,
        workdir=tmp_path / "meso4", apply=apply, preprocess=preprocess, data_sha256="b" * 64,
    )  # fmt: skip


def make_generator(detector):
    return types.SimpleNamespace(**vars(detector), restore=lambda clips: clips)


@pytest.mark.parametrize(
    "use",
    [
        lambda detector, out: dfjax.evaluate(detector, out=out),
        lambda detector, out: calibrate(detector),
        lambda detector, out: probe(detector),
        lambda detector, out: evaluate_robustness(detector, out=out),
        lambda detector, out: evaluate_restoration(make_generator(detector), out=out),
    ],
    ids=["evaluate", "calibrate", "probe", "robustness", "restoration"],
)
def test_other_data_of_the_same_name_are_not_taken(detector, tmp_path, use):
    with pytest.raises(UsageError, match=r"file meso4 names its data, pack, .*; give them as inde"):
        use(detector, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_harden_needs_the_workdir(detector, tmp_path, monkeypatch):
    monkeypatch.setattr(hardening, "load", lambda path: detector)
    monkeypatch.setattr(hardening, "load_generator", lambda path: types.SimpleNamespace())
    with pytest.raises(UsageError, match="give the workdir of the detector"):
        hardening.harden("meso4.safetensors", "generator", workdir=tmp_path / "study")
    assert not (tmp_path / "study").exists()


def test_data_whose_index_has_the_hash_of_the_header_are_taken(config, folder, tmp_path):
    sha256 = hashlib.sha256((folder / "pack" / "index.parquet").read_bytes()).hexdigest()
    data = open_evaluation_data(config, tmp_path / "meso4", None, data_sha256=sha256)
    assert len(data.index) == 12
    config.data.path = "gone"
    with pytest.raises(UsageError, match="no gone in the current folder is known to be these data"):
        open_run_data(config, tmp_path / "meso4", sha256)


def test_a_file_beside_its_workdir_is_told_from_it(config, folder, tmp_path):
    own = load_config("meso4")
    own.data.path = str(folder / "pack")
    workdirs.prepare_workdir(tmp_path / "meso4", own)
    with pytest.raises(UsageError, match="names its data, pack, and no folder"):
        open_run_data(config, tmp_path / "meso4", "")
    workdirs.prepare_workdir(tmp_path / "here", config)  # trained in the current folder
    assert len(open_run_data(config, tmp_path / "here", "").index) == 12
