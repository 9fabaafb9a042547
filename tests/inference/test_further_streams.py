"""Formats and features for RGB images refuse a detector that reads further streams."""

import types
from pathlib import Path

import numpy as np
import pytest

from dfjax.config import load_config
from dfjax.errors import UsageError
from dfjax.inference import feature_backbones
from dfjax.inference.weight_files import export_weights, find_whole_network
from dfjax.weights.safetensors_file import save_safetensors


@pytest.fixture(scope="module")
def config():
    return load_config("xception", {"model.frame_classifier.streams": ("rgb", "srm", "phase")})


@pytest.mark.parametrize("origin", ["deepfakebench", "keras"])
def test_whole_detectors(config, origin):
    with pytest.raises(UsageError, match=f"{origin} read RGB.*reads srm and phase too.*onnx"):
        find_whole_network(origin, config)


@pytest.mark.parametrize("model", ["xception", "efficientnet_b4"])
def test_weights_files(config, tmp_path, model):
    path = tmp_path / "w.safetensors"
    variables = {"params": {"logits": {"bias": np.zeros(2, np.float32)}}, "batch_stats": {}}
    save_safetensors(path, variables, metadata={"config": config.to_dict()})
    with pytest.raises(UsageError, match="networks of keras read RGB images"):
        export_weights(path, "keras", model, tmp_path / "w.h5")
    assert not (tmp_path / "w.h5").exists()


def test_stored_features(config, monkeypatch):
    detector = types.SimpleNamespace(config=config, variables={"params": {"backbone": {}}})
    monkeypatch.setattr(feature_backbones, "load", lambda *_: detector)
    with pytest.raises(UsageError, match="reads the streams rgb, srm, phase.*from RGB alone"):
        feature_backbones.from_workdir(Path("runs/w"), "best")
