"""Every config: its header, its variants, its shapes; `:smoke` trains."""

import ast
import json
import os
import re
import subprocess
import sys

import jax
import numpy as np
import pytest

from dfjax.commands import assembly
from dfjax.config import VARIANTS, config_names, find_config, load_config
from dfjax.losses.classification import make_loss
from dfjax.training.detector_step import make_train_step
from dfjax.training.optimizers import make_tx
from dfjax.training.schedules import make_schedule
from dfjax.training.state import make_init_state

NAMES = config_names()
SPECS = [f"{name}{variant}" for name in NAMES for variant in ("", *(f":{v}" for v in VARIANTS))]


@pytest.mark.parametrize("name", NAMES)
def test_header(name):
    text = ast.get_docstring(ast.parse(find_config(name).read_text()))
    lines = dict(re.findall(r"^(Command|Hardware|Time|Expected):\s+(\S.*)$", text, re.MULTILINE))
    assert list(lines) == ["Command", "Hardware", "Time", "Expected"]
    assert lines["Command"].startswith(f"dfjax train --config={name}")
    for key in ("Time", "Expected"):
        assert lines[key] == "not yet measured" or re.search(r"\d", lines[key])


@pytest.mark.parametrize("spec", SPECS)
def test_loads_locked_and_named(spec):
    config = load_config(spec)
    assert config.is_locked
    assert config.name == spec.split(":")[0]
    if spec.endswith(":smoke"):
        assert config.data.synthetic.videos and config.lowering == "native"


@pytest.mark.parametrize("spec", SPECS)
def test_init_and_step_agree_on_shapes(spec):
    """Traces the real initialisation and training step; nothing is compiled or computed."""
    config = load_config(spec)
    optimizer = config.optimizer.to_dict()
    schedule = make_schedule(
        **config.schedule, learning_rate=optimizer.pop("learning_rate"), total_steps=100
    )
    tx = make_tx(schedule=schedule, **optimizer)
    model, preprocess = assembly.make_model(config), assembly.make_config_preprocess(config)
    batch = assembly.example_batch(config, 2, config.preprocess.size)
    rng = jax.eval_shape(jax.random.key, np.uint32(0))
    state = jax.eval_shape(make_init_state(model.init, preprocess, tx), rng, batch)
    step = make_train_step(model.apply, preprocess, make_loss(**config.loss), tx)
    after, metrics = jax.eval_shape(step, state, batch, rng)
    assert jax.tree.structure(after) == jax.tree.structure(state)
    changed = [a for a, b in zip(jax.tree.leaves(state), jax.tree.leaves(after)) if a != b]
    assert not changed, "a donated step returns what it was given"
    assert {leaf.dtype.name for leaf in jax.tree.leaves(state.params)} == {"float32"}
    assert metrics["loss"].shape == () and metrics["loss"].dtype == "float32"


def run_as_a_user(*command):
    """Runs the command in a process of its own, with the devices that the machine has."""
    env = {key: value for key, value in os.environ.items() if key != "XLA_FLAGS"}
    done = subprocess.run(
        [sys.executable, "-m", "dfjax", *command], capture_output=True, text=True, env=env
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_smoke_trains_and_is_then_complete(name, tmp_path):
    command = ["train", f"--config={name}:smoke", f"--workdir={tmp_path}", "--json"]
    assert run_as_a_user(*command)["status"] == "trained"
    rows = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    losses = [row["loss"] for row in rows if row["split"] == "train"]
    assert losses and all(np.isfinite(losses))
    assert any(row["split"] == "val" for row in rows)
    assert run_as_a_user(*command)["status"] == "complete"
