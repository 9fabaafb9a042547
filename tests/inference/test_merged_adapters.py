"""The scale of LoRA, adapter.alpha / adapter.rank, reaches exports, and runs that start from it."""

import jax
import numpy as np
import pytest
from flax.traverse_util import flatten_dict

from dfjax.config import load_config
from dfjax.experiment import builders, initial_state
from dfjax.experiment.saved import read_saved
from dfjax.inference.export import export
from dfjax.weights.safetensors_file import load_safetensors, save_safetensors

RANK, ALPHA = 2, 10.0
SMALL = {
    "preprocess.size": 16, "model.frame_classifier.backbone": "clip_t8",
    "model.frame_classifier.width": 1 / 3,
    "adapter.name": "lora", "adapter.rank": RANK, "adapter.alpha": ALPHA,
}  # fmt: skip


@pytest.fixture(scope="module")
def config():
    return load_config("gend:smoke", SMALL)


@pytest.fixture(scope="module")
def variables(config):
    """Random variables, whose adapters change their kernels."""
    inputs = builders.example_inputs(config)
    shapes = jax.eval_shape(builders.make_model(config).init, jax.random.key(0), inputs)
    rng = np.random.default_rng(0)
    return jax.tree.map(lambda s: rng.normal(0, 0.1, s.shape).astype(np.float32), shapes)


def merged_by_hand(variables, alpha):
    params = flatten_dict(variables["params"], sep="/")
    plain = {path: leaf for path, leaf in params.items() if not path.startswith("adapters/")}
    for path in plain:
        if f"adapters/{path}/down" in params:
            change = params[f"adapters/{path}/down"] @ params[f"adapters/{path}/up"]
            plain[path] = plain[path] + alpha / RANK * change.reshape(plain[path].shape)
    return plain


def check(params, variables, alpha):
    found = flatten_dict(params, sep="/")
    expected = merged_by_hand(variables, alpha)
    assert found.keys() == expected.keys()
    for path, leaf in expected.items():
        np.testing.assert_allclose(found[path], leaf, atol=1e-6, err_msg=path)


def test_an_export_has_the_kernels_of_its_scale(config, variables, tmp_path):
    stored = tmp_path / "adapted.safetensors"
    save_safetensors(stored, variables, metadata={"config": config.to_dict()})
    saved = read_saved(stored)
    assert saved.config.adapter.name == "none"
    check(saved.variables["params"], variables, ALPHA)
    out = tmp_path / "plain.safetensors"
    export(stored, to="safetensors", out=out)
    check(load_safetensors(out)[0]["params"], variables, ALPHA)


class StoredRun:
    """The checkpoints of a run, with fixed variables."""

    def __init__(self, variables):
        self.variables = variables

    def restore_variables(self, kind, *, warn):
        return 7, self.variables

    def close(self):
        """Closes nothing."""


@pytest.mark.parametrize("alpha", [ALPHA, 2 * ALPHA])
def test_a_run_of_another_scale_starts_from_merged_kernels(
    config, variables, alpha, tmp_path, monkeypatch
):
    monkeypatch.setattr(initial_state, "Checkpoints", lambda *_, **__: StoredRun(variables))
    monkeypatch.setattr(initial_state.workdirs, "load", lambda _: config)
    own = load_config("gend:smoke", SMALL | {"adapter.alpha": alpha})
    adapter = builders.config_adapter(own)
    loaded = initial_state._read_run(tmp_path, variables["params"], adapter, print)
    if alpha == ALPHA:
        assert loaded.variables["params"].keys() == variables["params"].keys()
    else:
        check(loaded.variables["params"], variables, ALPHA)
