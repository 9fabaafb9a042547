"""Detectors read back from workdirs and exported files, with models of the user's own."""

import json
import sys

import cv2
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from safetensors.numpy import save_file

import dfjax
from dfjax.commands.main import main
from dfjax.config import load_config
from dfjax.errors import UsageError
from dfjax.experiment import builders
from dfjax.experiment import workdir as workdirs
from dfjax.inference.detector import load
from dfjax.inference.export import export
from dfjax.training.checkpoint import Checkpoints
from dfjax.weights.safetensors_file import load_safetensors, save_safetensors

MODEL = '''
from flax import linen as nn


class Mean(nn.Module):
    """A linear classifier of the mean colour of a clip."""

    scale: float = 2.0

    @nn.compact
    def __call__(self, inputs, *, train):
        colour = inputs["rgb"].mean((1, 2, 3))
        return self.scale * nn.Dense(1, name="logit")(colour)[:, 0]
'''
OWN = "own_detector"


@pytest.fixture(scope="module")
def workdir(tmp_path_factory):
    """A workdir of a model that a module outside the package defines, as training leaves it."""
    folder = tmp_path_factory.mktemp("code")
    (folder / f"{OWN}.py").write_text(MODEL)
    sys.path.insert(0, str(folder))
    try:
        config = load_config(
            "resnet18:smoke",
            {
                "model.name": f"{OWN}:Mean", "model.custom.scale": 3.0, "preprocess.size": 8,
                "data.frames": 2, "data.crop_size": 8, "eval.batch_size": 4,
            },
        )  # fmt: skip
        model = builders.make_model(config)
        inputs = jax.tree.map(
            lambda s: jnp.zeros(s.shape, s.dtype), builders.example_inputs(config)
        )
        variables = model.init(jax.random.key(0), inputs)
        place = folder / "run"
        workdirs.prepare_workdir(place, config)
        checkpoints = Checkpoints(place)
        items = {"variables": variables, "training": {"step": jnp.zeros(())}}
        checkpoints.save("best", 7, items, {})
        checkpoints.close()
        yield place
    finally:
        sys.path.remove(str(folder))
        sys.modules.pop(OWN, None)


def make_clips():
    return np.random.default_rng(0).integers(0, 256, (5, 2, 8, 8, 3), np.uint8)


def test_an_exported_file_is_the_detector(workdir, tmp_path):
    first = load(workdir)
    copies = {len(x.sharding.device_set) for x in jax.tree.leaves(first.variables)}
    assert copies == {len(jax.local_devices())}
    done = export(first, out=tmp_path / "d.safetensors")
    assert done.checkpoint == "best/7" and done.bytes == done.out.stat().st_size
    second = dfjax.load(done.out)
    assert (second.checkpoint, second.workdir) == ("best/7", tmp_path / "d")
    assert second.config.to_dict() == first.config.to_dict()
    probs = first.predict(make_clips())
    assert np.ptp(probs) > 0
    np.testing.assert_array_equal(second.predict(make_clips()), probs)
    again = export(second, out=tmp_path / "again.safetensors")
    (one, header), (other, same) = load_safetensors(done.out), load_safetensors(again.out)
    assert header == same and header["methods"] == []
    jax.tree.map(np.testing.assert_array_equal, one, other)


def test_a_file_of_parameters_alone_is_no_detector(tmp_path):
    path = tmp_path / "w.safetensors"
    save_safetensors(path, {"params": {"x": np.zeros(1)}}, metadata={})
    with pytest.raises(UsageError, match="without the config of their detector"):
        load(path)
    header = {"config": "{", "checkpoint": "best/1"}
    save_file({"params.x": np.zeros(1)}, path, metadata=header)
    with pytest.raises(UsageError, match="the header of .* is damaged: config is .*, not an"):
        load(path)
    with pytest.raises(UsageError, match="does not exist"):
        load(tmp_path / "gone.safetensors")
    with pytest.raises(UsageError, match="checkpoint is 'best' or 'last', not 'newest'"):
        load(tmp_path, "newest")


def test_own_code_runs_only_when_it_was_asked_for(workdir, tmp_path, capsys, monkeypatch):
    image = tmp_path / "a.png"
    cv2.imwrite(str(image), np.full((20, 20, 3), 200, np.uint8))
    arguments = ["predict", "--workdir", str(workdir), str(image), "--detector", "none",
                 "--workers", "1", "--json"]  # fmt: skip
    monkeypatch.delitem(sys.modules, OWN, raising=False)
    assert main(arguments) == 2
    error = capsys.readouterr().err
    assert f"{OWN}:Mean is not imported" in error and error.count("\n") == 1
    assert OWN not in sys.modules
    assert main([*arguments, "--import", OWN]) == 0
    scored = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert main([*arguments, "--import", "no_such_module"]) == 2
    assert "cannot import no_such_module" in capsys.readouterr().err
    exported = tmp_path / "d.safetensors"
    assert main(["export", "--workdir", str(workdir), "--to", "safetensors", "--import", OWN,
                 "--out", str(exported)]) == 0  # fmt: skip
    capsys.readouterr()
    assert main(["predict", "--weights", str(exported), *arguments[3:]]) == 0
    assert json.loads(capsys.readouterr().out.splitlines()[-1]) == scored
