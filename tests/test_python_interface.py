"""Tests the Python interface: equality to the command line, own models, interrupts."""

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from final_state import read_final_state

import dfjax
from dfjax.commands.main import main
from dfjax.data.store.pack import pack
from dfjax.data.synthetic import generate
from dfjax.data.synthetic.plan import make_plan
from dfjax.data.synthetic.render import write_video
from dfjax.data.synthetic.samples import write_samples
from dfjax.errors import Interrupted, UsageError
from dfjax.training.metric_writer import read_history

pytestmark = pytest.mark.usefixtures("compiled_quickly")

SMALL = {"train.epochs": 2, "writers.tensorboard": False, "data.eval_clips": 1}
TIMES = ("seconds",)


class FrameDifference(nn.Module):
    """The model of the README: a convolution on differences of frames."""

    width: int = 16

    @nn.compact
    def __call__(self, inputs, *, train):
        frames = inputs["rgb"]
        x = nn.relu(nn.Conv(self.width, (3, 3), strides=2)(frames[:, 1:] - frames[:, :-1]))
        return nn.Dense(1)(x.mean(axis=(1, 2, 3)))[:, 0]


class Bias(nn.Module):
    """A model that gives every clip the same logit."""

    @nn.compact
    def __call__(self, inputs, *, train):
        return jnp.broadcast_to(self.param("bias", nn.initializers.zeros, ()), len(inputs["mask"]))


def squared_loss(logits, outputs, batch):
    return optax.squared_error(jnp.tanh(logits), 2.0 * batch["label"] - 1.0)


def assert_same_run(one, other):
    """Two workdirs hold the same bits but for the times in them."""
    (step, mine), (step2, theirs) = read_final_state(one), read_final_state(other)
    assert step == step2
    jax.tree.map(np.testing.assert_array_equal, mine, theirs)
    rows = [
        [
            {k: v for k, v in row.items() if k not in TIMES}
            for row in read_history(w / "history.csv")
        ]
        for w in (one, other)
    ]
    assert rows[0] == rows[1]
    configs = [json.loads((w / "config.json").read_text()) for w in (one, other)]
    assert configs[0] == configs[1]


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """A pack of synthetic faces, and two videos of them."""
    folder = tmp_path_factory.mktemp("data")
    made = folder / "synthetic"
    generate(made, videos=24, identities=12, frames=12, size=64, seed=0)
    write_samples(made, make_plan(24, 12, 0), count=1, seed=0)
    pack(made / "index.parquet", folder / "pack")
    return folder


@pytest.fixture(scope="module")
def own(data, tmp_path_factory):
    """A run of a model and a loss from outside the package."""
    config = dfjax.load_config("resnet18_bilstm:smoke", SMALL | {"data.path": data / "pack"})
    before = config.to_dict()
    workdir = tmp_path_factory.mktemp("own")
    run = dfjax.train(config, workdir, model=FrameDifference(width=4), loss=squared_loss)
    assert config.to_dict() == before, "the caller's config changed"
    return run


def test_a_run_by_python_has_the_bits_of_one_by_the_command_line(data, tmp_path, capsys):
    model = {"model.name": f"{__name__}:FrameDifference", "model.custom.width": 4}
    overrides = SMALL | model | {"data.path": data / "pack"}
    config = dfjax.load_config("resnet18_bilstm:smoke", overrides)
    run = dfjax.train(config, tmp_path / "python")
    assert capsys.readouterr().out == "", "nothing is printed from Python"
    arguments = [f"--config.{key}={value}" for key, value in overrides.items()]
    command = ["train", "--config=resnet18_bilstm:smoke", f"--workdir={tmp_path / 'command'}"]
    code = main([*command, *arguments])
    assert code == 0
    assert_same_run(tmp_path / "python", tmp_path / "command")
    again = dfjax.train(config, tmp_path / "command")
    assert (run.summary["status"], again.summary["status"]) == ("trained", "complete")


def test_a_run_has_its_history_and_draws_itself(own):
    assert list(own.history["epoch"]) == [1, 2] and "val_video_auc" in own.history
    assert [len(axes.lines) > 1 for axes in own.plot().axes] == [True, True]
    assert "<svg" in own._repr_html_() and str(own.workdir) in repr(own)
    assert (own.log.query("split == 'train'")["clips_per_s"] > 0).all()


def test_own_model_and_loss_to_a_verdict_on_a_video(own, data, capsys):
    detector = dfjax.load(own.workdir)
    (video, *_) = sorted((data / "synthetic" / "videos").rglob("*.mp4"))
    verdict = detector(video)
    assert 0.0 < verdict.fake_prob < 1.0 and verdict.verdict in ("real", "fake")
    report = dfjax.evaluate(own.workdir, split="val")
    assert report.metrics["n"]["videos"] > 0
    assert capsys.readouterr().out == ""
    rows = [json.loads(line) for line in (own.workdir / "metrics.jsonl").open()]
    assert all(row["loss"] <= 4.0 for row in rows if row["split"] == "train")
    assert {"loss_squared_loss", "param_norm", "update_norm"} <= rows[0].keys()


def test_a_constant_detector_is_told(data, tmp_path, capsys):
    config = dfjax.load_config("resnet18_bilstm:smoke", SMALL | {"data.path": data / "pack"})
    run = dfjax.train(config, tmp_path, model=Bias())
    assert (run.history["val_constant_scores"] == 1.0).all()
    assert "the detector of the best epoch so far is constant" in capsys.readouterr().err


def test_another_process_does_not_import_what_a_workdir_names(own):
    code = f"import dfjax; dfjax.load({str(own.workdir)!r})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode and "is not imported" in done.stderr


def test_resuming_with_another_model_is_refused(own, data):
    config = dfjax.load_config("resnet18_bilstm:smoke", SMALL | {"data.path": data / "pack"})
    with pytest.raises(UsageError, match="width"):
        dfjax.train(config, own.workdir, model=FrameDifference(width=8), loss=squared_loss)


def test_a_config_may_be_named(tmp_path):
    with pytest.raises(UsageError, match="Did you mean 'resnet18'"):
        dfjax.train("resnet81:smoke", tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_an_interrupt_saves_and_the_same_call_goes_on(data, own, tmp_path, monkeypatch):
    from dfjax.training.loop import Trainer

    config = dfjax.load_config("resnet18_bilstm:smoke", SMALL | {"data.path": data / "pack"})
    whole, due = Trainer._train_step, [0, 3]  # steps: while it compiles, and in the middle

    def step(self, batches):
        interrupted = due and self.step == due[0]
        if interrupted:
            due.pop(0)
            threading.Timer(0.01, signal.raise_signal, (signal.SIGINT,)).start()
        whole(self, batches)
        deadline = time.monotonic() + 30
        while interrupted and not self.interrupt.requested:  # the main thread handles it
            assert time.monotonic() < deadline
            time.sleep(0.01)

    monkeypatch.setattr(Trainer, "_train_step", step)
    for _ in range(2):
        with pytest.raises(Interrupted, match="the same call resumes") as stopped:
            dfjax.train(config, tmp_path, model=FrameDifference(width=4), loss=squared_loss)
        assert isinstance(stopped.value, KeyboardInterrupt)
    run = dfjax.train(config, tmp_path, model=FrameDifference(width=4), loss=squared_loss)
    assert run.summary["status"] == "trained" and not due
    assert_same_run(tmp_path, own.workdir)


def test_the_interface_is_what_the_documentation_lists():
    names = set("load_config prepare train evaluate predict load export compare defake".split())
    names |= set("explain report harden synthesise".split())
    assert names == set(dfjax.INTERFACE) and names <= set(dir(dfjax))
    assert all(callable(getattr(dfjax, name)) and getattr(dfjax, name).__doc__ for name in names)


def read_blocks(root):
    return re.findall(r"```python\n(.*?)```", (root / "README.md").read_text(), re.S)


@pytest.mark.slow
def test_the_own_model_of_the_readme_as_a_script(root, data, tmp_path):
    """From synthetic data to a verdict on a video, in a script without a main guard."""
    (video, *_) = sorted((data / "synthetic" / "videos").rglob("*.mp4"))
    script = tmp_path / "script.py"
    ending = f"""
verdict = dfjax.load("runs/own")({str(video)!r})
print(verdict.verdict, verdict.fake_prob)
"""
    script.write_text(read_blocks(root)[1] + ending)
    environment = os.environ | {"PYTHONPATH": str(root), "XLA_FLAGS": ""}
    command = [sys.executable, str(script)]
    done = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=600
    )
    assert done.returncode == 0, done.stderr[-2000:]
    verdict, fake_prob = done.stdout.split()
    assert verdict in ("real", "fake") and 0.0 < float(fake_prob) < 1.0


@pytest.mark.slow
def test_the_python_block_of_the_readme(root, tmp_path, monkeypatch):
    """With the demo's size replaced by the smallest one, on videos of synthetic faces."""
    monkeypatch.chdir(tmp_path)
    recordings = set()  # a fake shows the scene of its real video: one video of each
    for number, plan in enumerate(make_plan(40, 20, 0)):
        kind = "real" if plan.method == "real" else "fake"
        if plan.recording in recordings or kind == ("real" if len(recordings) % 2 else "fake"):
            continue
        recordings.add(plan.recording)
        write_video(tmp_path / "videos" / kind / f"{number}.mp4", plan, 0)
    (tmp_path / "clip.mp4").write_bytes(next(tmp_path.glob("videos/real/*.mp4")).read_bytes())
    first = read_blocks(root)[0].replace("hybrid:tiny", "hybrid:smoke").replace("3,", "1,")
    scope = {}
    exec(compile(first, "README.md", "exec"), scope)
    assert 0.0 <= scope["verdict"].fake_prob <= 1.0
    assert (tmp_path / "first.safetensors").stat().st_size > 1e5
