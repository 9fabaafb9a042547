"""A received workdir or weights file: every file of it damaged or tampered with, then loaded.

What is refused is refused in one line; what loads has the bits of the honest run.
"""

import json
import struct

import hostile_media
import jax
import numpy as np
import pytest
from hostile_cases import make_cases, over
from hostile_mutations import BYTES, JSON, mutate_json, rewrite

import dfjax
from dfjax.inference.detector import Detector
from dfjax.inference.predict import predict

pytestmark = pytest.mark.slow
SIDE_FILES = ("methods.json", "versions.json", "config.yaml", "audit.json", "metrics.jsonl")


@pytest.fixture(scope="module")
def true(honest):
    """The detector of the honest workdir."""
    return dfjax.load(honest.workdir)


@pytest.fixture
def here(monkeypatch):
    """Reads inputs in this process, and scores nothing: the step would be compiled per case."""
    from hostile_workers import run_tasks

    def score(self, batches, *, batch_size=0):
        for batch in batches:
            zeros = np.zeros(len(batch["mask"]))
            yield batch, {"logit": zeros, "fake_prob": zeros + 0.5}

    monkeypatch.setattr("dfjax.inference.score_inputs.run_tasks", run_tasks)
    monkeypatch.setattr(Detector, "score", score)


def check_same(watch, loaded, true):
    """The parameters are those of the honest run."""
    mine, theirs = (jax.tree.leaves_with_path(d.variables) for d in (loaded, true))
    watch.expect([path for path, _ in mine] == [path for path, _ in theirs], "other parameters")
    for (path, leaf), (_, other) in zip(mine, theirs):
        name = jax.tree_util.keystr(path)
        watch.expect(np.array_equal(leaf, other), f"{name} differs, and nobody said so")


@over(make_cases("config", JSON, 12))
def test_config(case, watch, honest, true, here):
    workdir = honest.take("workdir", watch.inputs / "workdir")
    picture = watch.inputs / "a.png"
    hostile_media.good("a.png", str(watch.place / "tmp"))
    (watch.place / "tmp" / "a.png").rename(picture)
    hostile_media.good.cache_clear()
    values = json.loads((workdir / "config.json").read_text())
    rewrite(workdir / "config.json", mutate_json(values, case.operation, case.rng()))
    loaded = watch.call(dfjax.load, workdir)
    if isinstance(loaded, Detector):
        check_same(watch, loaded, true)
        verdicts = watch.call(predict, loaded, picture)
        if isinstance(verdicts, list):
            assert len(verdicts) == 1 and verdicts[0].status in ("ok", "error")


def checkpoint_files(workdir, kind):
    """The files of a step, sorted by path."""
    return sorted(p for p in (workdir / "checkpoints" / kind).rglob("*") if p.is_file())


def damage(file, operation, rng):
    """Damages one file; JSON by its structure half of the time."""
    if operation == "remove":
        file.unlink()
        return
    data = file.read_bytes()
    if operation in JSON:
        try:
            changed = mutate_json(json.loads(data), operation, rng)
        except ValueError:  # no JSON: cut
            changed = data[: len(data) // 2]
    else:
        changed = BYTES[operation](data, rng) if data else b"x"
    rewrite(file, changed)


@over(make_cases("checkpoint", [*BYTES, *JSON, "remove"], 5))
def test_checkpoint(case, watch, honest, true):
    kind, rng = ("best", "last")[case.number % 2], case.rng()
    workdir = honest.take("workdir", watch.inputs / "workdir")
    file = rng.choice(checkpoint_files(workdir, kind))
    watch.case = f"{case} ({file.relative_to(workdir)})"
    damage(file, case.operation, rng)
    loaded = watch.call(dfjax.load, workdir, kind)
    if isinstance(loaded, Detector):
        check_same(watch, loaded, true)


@over(make_cases("checkpoints", ("step", "item", "everything", "empty", "extra", "link"), 2))
def test_folders_of_checkpoints(case, watch, honest, true):
    """Whole folders that are missing, empty, too many or elsewhere."""
    import shutil

    kind = ("best", "last")[case.number % 2]
    workdir = honest.take("workdir", watch.inputs / "workdir")
    (step,) = (p for p in (workdir / "checkpoints" / kind).iterdir() if p.is_dir())
    target = {"step": step, "item": step / "variables", "everything": step.parent.parent}
    if case.operation in target:
        shutil.rmtree(target[case.operation])
    elif case.operation == "empty":
        shutil.rmtree(step)
        step.mkdir()
    elif case.operation == "extra":
        (step.parent / "999").mkdir()
        (step.parent / "notes.txt").write_text("x")
        (step.parent / "12.orbax-checkpoint-tmp-1").mkdir()
    else:
        shutil.rmtree(step)
        step.symlink_to("/etc")
    loaded = watch.call(dfjax.load, workdir, kind)
    if isinstance(loaded, Detector):
        check_same(watch, loaded, true)


@over(make_cases("side", JSON, 2))
def test_side_files(case, watch, honest, true):
    """Files that say something about a run; loading needs at most one of them."""
    workdir, rng = honest.take("workdir", watch.inputs / "workdir"), case.rng()
    values = [{"step": 1, "epoch": 1}, {"dfjax": "0.1.0"}, ["real", "swap"]]
    for name in SIDE_FILES:
        rewrite(workdir / name, mutate_json(rng.choice(values), case.operation, rng))
    loaded = watch.call(dfjax.load, workdir)
    if isinstance(loaded, Detector):
        check_same(watch, loaded, true)


@over(make_cases("weights", BYTES, 3))
def test_weights(case, watch, honest):
    file = watch.inputs / "w.safetensors"
    file.write_bytes(BYTES[case.operation](honest.weights.read_bytes(), case.rng()))
    check_weights(watch, file)


@over(make_cases("weights_header", JSON, 5) + make_cases("weights_config", JSON, 5))
def test_header_of_weights(case, watch, honest):
    """The header of the file, and the JSON texts within it, are changed; the rest stays."""
    data = honest.weights.read_bytes()
    size = struct.unpack("<Q", data[:8])[0]
    header, rng = json.loads(data[8 : 8 + size]), case.rng()
    if case.kind.startswith("weights_config"):
        metadata = header["__metadata__"]
        name = rng.choice(sorted(metadata))
        changed = mutate_json(json.loads(metadata[name]), case.operation, rng)
        metadata[name] = changed.decode("utf-8", "replace")
        text = json.dumps(header).encode()
    else:
        text = mutate_json(header, case.operation, rng)
    file = watch.inputs / "w.safetensors"
    file.write_bytes(struct.pack("<Q", len(text)) + text + data[8 + size :])
    check_weights(watch, file)


def check_weights(watch, file):
    loaded = watch.call(dfjax.load, file)
    if isinstance(loaded, Detector):
        for leaf in jax.tree.leaves(loaded.variables):
            assert np.issubdtype(leaf.dtype, np.floating)
