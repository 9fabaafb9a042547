"""A run with adapters: starts from a file, resumes bitwise, and gives away plain kernels."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest
from final_state import read_final_state
from flax.traverse_util import flatten_dict

from dfjax import FAKE, REAL
from dfjax.config import load_config
from dfjax.experiment import builders, run_data
from dfjax.experiment.parts import assemble_parts, jit_train_step, make_config_mesh
from dfjax.experiment.train import run_training
from dfjax.inference.detector import load
from dfjax.inference.export import export
from dfjax.models.frame_features import build_backbone
from dfjax.training import sharding
from dfjax.training.interrupt import Interrupt, Stopped
from dfjax.weights.safetensors_file import load_safetensors, save_safetensors

pytestmark = pytest.mark.usefixtures("compiled_quickly")

SMALL = {
    "preprocess.size": 16, "data.synthetic.size": 16, "data.synthetic.videos": 24,
    "data.synthetic.identities": 12, "data.synthetic.frames": 2, "data.eval_clips": 1,
    "model.frame_classifier.width": 1 / 3, "optimizer.freeze": ("^backbone/",),
    "optimizer.sam_radius": 0.05, "writers.tensorboard": False,
}  # fmt: skip


@pytest.fixture(scope="module")
def given(tmp_path_factory):
    """A pack, and a file of a backbone, as overrides."""
    folder = tmp_path_factory.mktemp("given")
    pack = run_data.synthetic_pack(load_config("effort:smoke", SMALL), folder)
    fns = build_backbone("clip_t8", width=1 / 3, one_block=True)
    variables = jax.jit(fns.init)(jax.random.key(7), jnp.zeros((1, 64, 64, 3)))
    path = folder / "clip.safetensors"
    save_safetensors(path, variables, metadata={"model": "clip_t8", "kind": "backbone"})
    return {"data.path": pack, "init.backbone": path}


def make_config(given, **changes):
    return load_config("effort:smoke", SMALL | given | changes)


@pytest.fixture(scope="module")
def trained(given, tmp_path_factory):
    workdir = tmp_path_factory.mktemp("run")
    run_training(make_config(given), workdir)
    return workdir


def final_params(workdir):
    _, (variables, _) = read_final_state(workdir)
    return flatten_dict(variables["params"], sep="/")


def test_only_the_residual_parts_and_the_head_are_trained(given, trained):
    params = final_params(trained)
    loaded, _ = load_safetensors(given["init.backbone"])
    for path, leaf in flatten_dict(loaded["params"], sep="/").items():
        np.testing.assert_array_equal(params[f"backbone/{path}"], leaf)
    adapters = {path for path in params if path.startswith("adapters/")}
    assert len(adapters) == 4 * 6
    for path in adapters:
        if "first_" not in path:
            kernel, name = path.removeprefix("adapters/").rsplit("/", 1)
            first = params[f"adapters/{kernel}/first_{name}"]
            assert not np.array_equal(params[path], first)
            if name == "values":  # they are those of the loaded kernels
                values = np.linalg.svd(params[kernel].astype(np.float64), compute_uv=False)
                np.testing.assert_allclose(first, values[-1:], atol=1e-5)
    rows = [json.loads(line) for line in (trained / "metrics.jsonl").read_text().splitlines()]
    logged = [row for row in rows if "loss_orthogonality" in row]
    assert logged and all("loss_singular_values" in row for row in logged)


class StopAfter(Interrupt):
    """Requests a stop after some steps."""

    steps = 3

    def check(self):
        self.steps -= 1
        if self.steps == 0:
            self.request("test")
        super().check()


@pytest.mark.slow
def test_a_run_that_was_stopped_goes_on_bitwise(given, trained, tmp_path):
    with pytest.raises(Stopped):
        run_training(make_config(given), tmp_path, interrupt=StopAfter())
    before, _ = read_final_state(tmp_path)
    run_training(make_config(given), tmp_path)
    (step, state), (expected_step, expected) = (read_final_state(w) for w in (tmp_path, trained))
    assert 0 < before < step == expected_step
    jax.tree.map(np.testing.assert_array_equal, state, expected)


def test_exports_have_plain_kernels_with_the_scores_of_the_run(given, trained, tmp_path):
    detector = load(trained, "last")
    assert "adapters" not in detector.variables["params"]
    assert detector.config.adapter.name == "none"
    clips = np.random.default_rng(0).integers(0, 255, (4, 1, 16, 16, 3)).astype(np.uint8)
    scores = detector.predict(clips)

    config = make_config(given)
    _, (variables, _) = read_final_state(trained)
    variables = jax.tree.map(jnp.asarray, variables)
    batch = {"clip": jnp.asarray(clips), "mask": jnp.ones((4, 1), bool)}
    inputs = builders.make_config_preprocess(config)(batch, None, train=False)
    logits, _, _ = builders.make_model(config).apply(variables, inputs, train=False, rngs=None)
    np.testing.assert_allclose(scores, jax.nn.sigmoid(logits), atol=1e-5)

    path = tmp_path / "effort.safetensors"
    export(trained, to="safetensors", out=path, checkpoint="last")
    stored, _ = load_safetensors(path)
    assert "adapters" not in stored["params"]
    np.testing.assert_allclose(load(path).predict(clips), scores, atol=1e-6)


@pytest.mark.slow
def test_another_run_starts_from_the_merged_kernels(given, trained, tmp_path):
    """Its own adapters are of another kind and new: at learning rate 0 both score alike."""
    changes = {
        "train.init_from": trained, "init.backbone": "", "adapter.name": "lora",
        "loss.orthogonality": 0.0, "loss.singular_values": 0.0, "train.epochs": 1,
        "optimizer.learning_rate": 0.0, "adapter.kernels": ("attention/query/kernel$",),
    }  # fmt: skip
    run_training(make_config(given, **changes), tmp_path)
    merged = load(trained, "best").variables["params"]
    params = load(tmp_path, "last").variables["params"]
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-6), params, merged)


INDEX = pd.DataFrame({"label": [REAL, FAKE], "method": ["real", "fake"]})


def step_on(spec, changes, shape):
    """Returns the parameters after one step on a mesh, and the metrics."""
    sizes = dict(zip(("mesh.data", "mesh.fsdp", "mesh.tensor"), shape))
    config = load_config(spec, {k: v for k, v in (SMALL | changes).items()} | sizes)
    mesh = make_config_mesh(config, jax.devices()[: int(np.prod(shape))])
    parts = assemble_parts(config, mesh, INDEX, np.arange(2), steps_per_epoch=4, crop_size=32)
    rng = np.random.default_rng(0)
    batch = {
        name: np.zeros(s.shape, s.dtype)
        for name, s in builders.example_batch(config, config.train.batch_size, 32).items()
    }
    batch["clip"] = rng.integers(0, 255, batch["clip"].shape).astype(np.uint8)
    batch["label"] = (np.arange(len(batch["label"])) % 2).astype(np.int8)
    batch |= {name: np.ones_like(batch[name]) for name in ("mask", "weight")}
    if "blend" in batch:  # each fake is made of the real before it
        batch["blend"] = batch["label"] == FAKE
        batch["video_index"] = (np.arange(len(batch["label"])) // 2).astype(np.int32)
    state = jax.jit(parts.init, out_shardings=parts.shardings)(parts.root_rng, batch)
    before = jax.device_get(state.params)
    state, metrics = jit_train_step(config, parts)(
        state, sharding.put_batch(batch, mesh), parts.root_rng
    )
    return before, jax.device_get(state.params), jax.device_get(metrics)


@pytest.mark.parametrize(
    "spec,changes,shapes",
    [
        ("effort:smoke", {"model.frame_classifier.backbone": "clip_t8"}, [(8, 1, 1), (2, 2, 2)]),
        pytest.param(  # with batch normalisation
            "resnet18:smoke",
            {"model.frame_classifier.width": 0.125, "optimizer.freeze": ()},
            [(8, 1, 1)],
            marks=pytest.mark.slow,
        ),
        pytest.param(  # with self-blending
            "sbi:smoke",
            {"model.frame_classifier.width": 0.125, "optimizer.freeze": (), "preprocess.size": 32}
            | {"model.frame_classifier.backbone": "resnet18"},
            [(8, 1, 1)],
            marks=pytest.mark.slow,
        ),
    ],
)
def test_sharpness_aware_steps_are_equal_on_every_mesh(spec, changes, shapes):
    fixed = {"optimizer.name": "sgd", "optimizer.learning_rate": 1.0, "schedule.name": "constant",
             "optimizer.clip_norm": 0.0, "optimizer.sam_radius": 0.1, "train.batch_size": 8,
             "eval.batch_size": 8, "train.freeze_random": True}  # fmt: skip
    before, alone, metrics = step_on(spec, changes | fixed, (1, 1, 1))
    moved = jax.tree.map(lambda a, b: float(np.abs(a - b).max()), alone, before)
    assert max(jax.tree.leaves(moved)) > 1e-3
    for shape in shapes:
        _, params, others = step_on(spec, changes | fixed, shape)
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=5e-5), params, alone)
        np.testing.assert_allclose(others["loss"], metrics["loss"], rtol=1e-5)
