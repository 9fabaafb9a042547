"""Checkpoints on disk: intact, damaged in every file, of an earlier version, on a full disk."""

import errno
import json
import os
import shutil
import subprocess
import sys
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dfjax.errors import RunError, UsageError
from dfjax.training import step_checksums
from dfjax.training.checkpoint import Checkpoints
from dfjax.training.run_state import RUN_SCHEMA
from dfjax.training.sharding import as_template
from dfjax.training.step_checksums import CHECKSUMS, verify_checksums

MONITOR = {"best": 0.5, "best_epoch": 1, "waited": 0}
RUN = {"run": {"epoch": 1}, "stop": MONITOR | {"best_loss": float("inf")}, "plateau": MONITOR}
STEPS = (3, 6)


def make_items(step):
    kernel = jnp.arange(6.0).reshape(2, 3) + step
    return {
        "variables": {"params": {"kernel": kernel}, "batch_stats": {}},
        "training": {"step": jnp.int32(step)},
    }


DEVICE = jax.sharding.SingleDeviceSharding(jax.local_devices()[0])
SHAPES = jax.eval_shape(lambda: make_items(0))
TEMPLATE = as_template(SHAPES, jax.tree.map(lambda leaf: DEVICE, SHAPES))


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    """A workdir with two last steps, and the later one as the best."""
    folder = tmp_path_factory.mktemp("original")
    checkpoints = Checkpoints(folder)
    for step in STEPS:
        checkpoints.save("last", step, make_items(step), RUN)
    checkpoints.save("best", 6, make_items(6), RUN)
    checkpoints.close()
    return folder


@pytest.fixture
def workdir(original, tmp_path):
    """A copy of it, to be damaged."""
    return shutil.copytree(original, tmp_path / "run")


def resume(workdir):
    """The step that a run resumes from, and what it says."""
    said, checkpoints = [], Checkpoints(workdir)
    try:
        restored = checkpoints.restore_last(TEMPLATE, said.append, RUN_SCHEMA)
    finally:
        checkpoints.close()
    items, run = restored
    step = int(items["training"]["step"])
    expected = make_items(step)["variables"]["params"]["kernel"]
    np.testing.assert_array_equal(items["variables"]["params"]["kernel"], expected)
    assert run == RUN
    return step, said


def load(workdir, kind="best"):
    """The step that a detector is loaded from, and what is said."""
    said, checkpoints = [], Checkpoints(workdir, read_only=True)
    try:
        step, variables = checkpoints.restore_variables(kind, said.append)
    finally:
        checkpoints.close()
    expected = make_items(step)["variables"]["params"]["kernel"]
    np.testing.assert_array_equal(variables["params"]["kernel"], expected)
    return step, said


def data_file(step):
    """The largest file of the weights."""
    files = [path for path in (step / "variables").rglob("*") if path.is_file()]
    return max(files, key=lambda path: path.stat().st_size)


def flip(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


DAMAGES = {
    "flipped": flip,
    "cut": lambda path: path.write_bytes(path.read_bytes()[:-1]),
    "empty": lambda path: path.write_bytes(b""),
    "gone": lambda path: path.unlink(),
}


def test_what_is_saved_comes_back(workdir):
    assert resume(workdir) == (6, [])
    assert load(workdir) == (6, [])
    assert load(workdir, "last") == (6, [])


def test_a_run_that_saved_nothing_yet(tmp_path):
    checkpoints = Checkpoints(tmp_path, read_only=True)
    with pytest.raises(UsageError, match="no best checkpoint yet; train first"):
        checkpoints.restore_variables("best")
    checkpoints.close()
    assert list(tmp_path.iterdir()) == []  # reading makes nothing
    checkpoints = Checkpoints(tmp_path)
    assert checkpoints.restore_last(TEMPLATE, pytest.fail) is None
    checkpoints.save("last", 3, make_items(3), RUN)
    with pytest.raises(UsageError, match="no best checkpoint yet; checkpoint=last exists"):
        checkpoints.restore_variables("best")
    checkpoints.close()


@pytest.mark.parametrize("damage", DAMAGES)
def test_checksums_cover_every_file_of_a_step(workdir, damage):
    step = workdir / "checkpoints/last/6"
    files = {p.relative_to(step).as_posix() for p in step.rglob("*") if p.is_file()}
    covered = set(json.loads((step / CHECKSUMS).read_text())["sha256"])
    assert files - covered == {CHECKSUMS, "commit_success.txt"}
    assert verify_checksums(step)
    for name in sorted(covered):
        content = (step / name).read_bytes()
        if content or damage == "gone":
            DAMAGES[damage](step / name)
            with pytest.raises(ValueError, match=f"{name} (is missing|has other bytes)"):
                verify_checksums(step)
            (step / name).write_bytes(content)


def test_a_file_that_was_put_into_a_step_is_damage(workdir):
    step = workdir / "checkpoints/last/6"
    (step / ".DS_Store").write_bytes(b"")
    assert verify_checksums(step)
    (step / CHECKSUMS).write_text('{"sha256": {}}')
    with pytest.raises(ValueError, match="is not among the files that were written"):
        verify_checksums(step)


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_step_is_set_aside_and_the_one_before_is_used(workdir, damage):
    DAMAGES[damage](data_file(workdir / "checkpoints/last/6"))
    step, said = load(workdir, "last")
    assert step == 3 and "last/6 is damaged, last/3 is used: variables/" in said[0]
    step, said = resume(workdir)
    assert step == 3 and len(said) == 1 and "\n" not in said[0]
    assert "last/6 is damaged and is set aside in" in said[0]
    assert (workdir / "checkpoints/damaged/last-6").is_dir()
    assert resume(workdir) == (3, [])


@pytest.mark.parametrize("text", ["", "{}", "[]", "null", '{"run": {"epoch": "one"}}'])
def test_damaged_metadata_of_a_step_of_an_earlier_version(workdir, text):
    step = workdir / "checkpoints/last/6"
    (step / "run/metadata").write_text(text)
    (step / CHECKSUMS).unlink()
    (workdir / "checkpoints/last/3" / CHECKSUMS).unlink()
    found, said = resume(workdir)
    assert found == 3 and len(said) == 2
    assert "last/3 has no checksums" in said[0] and "last/6 is damaged" in said[1]


@pytest.mark.parametrize("damage", ["cut", "empty", "gone"])
def test_damaged_weights_of_a_step_of_an_earlier_version(workdir, damage):
    step = workdir / "checkpoints/last/6"
    for path in (step / "variables").rglob("d/*"):  # which of them is read depends on Orbax
        DAMAGES[damage](path)
    (step / CHECKSUMS).unlink()
    found, said = resume(workdir)
    assert found == 3 and "last/6 is damaged" in said[0]


def test_a_step_of_an_earlier_version_is_loaded_and_that_is_said(workdir):
    (workdir / "checkpoints/best/6" / CHECKSUMS).unlink()
    step, said = load(workdir)
    assert step == 6 and "best/6 has no checksums" in said[0] and len(said) == 1


@pytest.mark.parametrize("listed", [False, True])
@pytest.mark.parametrize("name", ["data", "_CHECKPOINT_METADATA", "metrics/metrics"])
def test_a_pipe_in_place_of_a_file_of_a_step_does_not_block(workdir, name, listed):
    """Without checksums, or with some that do not list it, nothing else would say so."""
    for step in ("last/6", "best/6"):
        folder = workdir / "checkpoints" / step
        path = next((folder / "variables").rglob("d/*")) if name == "data" else folder / name
        path.parent.mkdir(exist_ok=True)
        path.unlink(missing_ok=True)
        os.mkfifo(path)
        (folder / CHECKSUMS).write_text('{"sha256": {}}')
        if not listed:
            (folder / CHECKSUMS).unlink()
    assert load(workdir, "last")[0] == 3
    with pytest.raises(UsageError, match="best/6: .*is not a regular file.* is damaged") as error:
        load(workdir)
    assert "\n" not in str(error.value)
    found, said = resume(workdir)
    assert found == 3 and "last/6 is damaged" in said[0] and "is not a regular file" in said[0]


@pytest.mark.parametrize("what", ["file", "gone", "link", "folder", "time", "metrics"])
def test_a_step_that_cannot_even_be_listed_costs_only_itself(workdir, what):
    step = workdir / "checkpoints/last/6"
    (step / CHECKSUMS).unlink()
    if what == "time":  # the time of the step in its metadata is none
        (step / "_CHECKPOINT_METADATA").write_text('{"commit_timestamp_nsecs": 1%s}' % ("0" * 30))
        (step / "variables/_METADATA").write_text("[")
    elif what == "metrics":
        (step / "metrics").mkdir()
        (step / "metrics/metrics").write_text("{")
        (step / "variables/_METADATA").write_text("[")
    else:
        shutil.rmtree(step)
        if what == "file":
            step.write_text("x")
        elif what in ("link", "gone"):
            step.symlink_to({"link": "/etc", "gone": "nowhere"}[what])
        else:
            step.mkdir()
    assert load(workdir) == (6, [])
    assert load(workdir, "last")[0] == 3
    assert resume(workdir)[0] == 3
    assert resume(workdir) == (3, [])


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"sha256": {"../x": 3}}', '{"sha256": '])
def test_damaged_checksums_are_damage(workdir, text):
    (workdir / "checkpoints/best/6" / CHECKSUMS).write_text(text)
    with pytest.raises(UsageError, match="best/6: .*checksums.json is damaged") as error:
        load(workdir)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_best_is_one_line_that_says_what_may_help(workdir, damage):
    DAMAGES[damage](data_file(workdir / "checkpoints/best/6"))
    with pytest.raises(UsageError, match="best/6: .*damaged; checkpoint=last may be") as error:
        load(workdir)
    assert "\n" not in str(error.value)
    assert load(workdir, "last") == (6, [])


def test_no_intact_step_is_one_line(workdir):
    for step in STEPS:
        flip(data_file(workdir / "checkpoints/last" / str(step)))
    with pytest.raises(UsageError, match=r"can be read \(6: .*; 3: .*\)") as error:
        resume(workdir)
    assert "\n" not in str(error.value)
    assert not (workdir / "checkpoints/damaged").exists()


def test_reading_leaves_the_step_that_is_being_written_alone(workdir):
    unfinished = workdir / "checkpoints/last/9.orbax-checkpoint-tmp"
    unfinished.mkdir()
    assert load(workdir, "last") == (6, [])
    assert unfinished.is_dir()
    assert resume(workdir) == (6, [])
    assert not unfinished.exists()


def test_a_full_disk_keeps_the_earlier_steps(workdir, monkeypatch):
    def fail(folder):
        raise OSError(errno.ENOSPC, "No space left on device", str(folder))

    checkpoints = Checkpoints(workdir)
    monkeypatch.setattr(step_checksums, "write_checksums", fail)
    with pytest.raises(RunError, match="disk .* is full: step 9 is not saved"):
        checkpoints.save("last", 9, make_items(9), RUN)
    checkpoints.close()
    assert resume(workdir) == (6, [])


def test_too_little_space_is_found_before_anything_is_written(workdir, monkeypatch):
    checkpoints = Checkpoints(workdir)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=20))
    monkeypatch.setattr(checkpoints.managers["last"], "save", pytest.fail)
    with pytest.raises(RunError, match="disk .* is full: step 9 is not saved"):
        checkpoints.save("last", 9, make_items(9), RUN)
    checkpoints.close()


def test_a_workdir_that_was_removed_is_not_made_again(workdir):
    checkpoints = Checkpoints(workdir)
    shutil.rmtree(workdir)
    with pytest.raises(RunError, match="step 9 cannot be saved in .*last"):
        checkpoints.save("last", 9, make_items(9), RUN)
    checkpoints.close()
    assert not workdir.exists()


FULL = """
import gc, resource, sys
from pathlib import Path
import jax, numpy as np
from dfjax.errors import RunError
from dfjax.training.checkpoint import Checkpoints
checkpoints = Checkpoints(Path(sys.argv[1]))
items = {"variables": {f"{i}": np.random.default_rng(i).normal(size=50_000) for i in range(40)}}
items["training"] = {"step": np.int32(1)}
items = jax.tree.map(jax.numpy.asarray, items)
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
try:
    checkpoints.save("last", 1, items, {"run": {}})
except RunError as error:
    print(error)
checkpoints.close()
gc.collect()
"""


def test_a_disk_that_takes_no_more_is_one_line_without_tracebacks(tmp_path):
    """A limit on the size of files stands for a full disk: the same writes fail."""
    command = [sys.executable, "-c", FULL, str(tmp_path)]
    # JAX warns of an entry of its cache that another process is writing.
    env = os.environ | {"JAX_ENABLE_COMPILATION_CACHE": "false"}
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    assert "is full: step 1 is not saved" in done.stdout and done.stdout.count("\n") == 1
    assert done.stderr == "" and done.returncode == 0


def test_the_managers_of_a_run_have_barriers_of_their_own(tmp_path):
    """Both write in the background; barriers of one name at once end a run of several processes."""
    checkpoints = Checkpoints(tmp_path)
    names = {
        manager._multiprocessing_options.barrier_sync_key_prefix
        for manager in checkpoints.managers.values()
    }
    checkpoints.close()
    assert names == {"last", "best"}
