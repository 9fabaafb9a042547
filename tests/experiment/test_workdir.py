import contextlib
import dataclasses
import json
import shutil
import subprocess
import sys
import time

import jax
import pytest

from dfjax.config import load_config
from dfjax.data.faces.recipe import CropRecipe
from dfjax.errors import RunError, UsageError
from dfjax.experiment import workdir
from dfjax.training.interrupt import Interrupt, held_for


def smoke(*overrides):
    return load_config("dual_stream:smoke", overrides)


def test_a_workdir_keeps_its_config_in_two_formats_and_the_versions(tmp_path):
    workdir.prepare_workdir(tmp_path, smoke())
    assert workdir.load(tmp_path) == smoke()
    assert "learning_rate" in (tmp_path / "config.yaml").read_text()
    assert json.loads((tmp_path / "versions.json").read_text())["jax"] == jax.__version__


def test_a_changed_config_is_refused_with_the_difference(tmp_path):
    workdir.prepare_workdir(tmp_path, smoke())
    with pytest.raises(UsageError, match=r"optimizer.learning_rate: 0.002 -> 0.5"):
        workdir.prepare_workdir(tmp_path, smoke("optimizer.learning_rate=0.5"))
    assert workdir.load(tmp_path) == smoke()


def test_keys_that_no_result_depends_on_may_change(tmp_path):
    workdir.prepare_workdir(tmp_path, smoke())
    workdir.prepare_workdir(tmp_path, smoke("data.workers=2", "train.log_every=7"))
    assert workdir.load(tmp_path).data.workers == 2


def test_every_free_key_exists():
    for key in workdir.FREE_KEYS:
        node = smoke()
        for part in key.split("."):
            node = node[part]


@pytest.mark.parametrize(("text", "match"), [(None, "not a workdir"), ("{", "is damaged")])
def test_a_folder_without_a_config_is_named(tmp_path, text, match):
    if text:
        (tmp_path / "config.json").write_text(text)
    with pytest.raises(UsageError, match=match):
        workdir.load(tmp_path)


def test_the_lock_and_a_workdir_that_stayed_empty_are_removed(tmp_path):
    with pytest.raises(UsageError), workdir.locked(tmp_path / "refused"):
        raise UsageError
    assert not (tmp_path / "refused").exists()
    (tmp_path / "mine").mkdir()  # by the user
    with workdir.locked(tmp_path / "mine"):
        assert (tmp_path / "mine" / ".lock").exists()
    with workdir.locked(tmp_path / "used"):
        (tmp_path / "used" / "config.json").touch()
    assert [p.name for p in sorted(tmp_path.rglob("*"))] == ["mine", "used", "config.json"]


def test_two_processes_cannot_train_in_one_workdir(tmp_path):
    code = (
        "import sys; from pathlib import Path; from dfjax.experiment.workdir import locked\n"
        "from dfjax.errors import RunError, UsageError\n"
        "try:\n  with locked(Path(sys.argv[1])): print('entered')\n"
        "except UsageError as e: print(e)"
    )
    command = [sys.executable, "-c", code, str(tmp_path)]
    with workdir.locked(tmp_path):
        inside = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    after = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert "another process" in inside
    assert after == "entered\n"


def test_an_abandoned_run_keeps_the_lock_until_its_thread_ends(tmp_path):
    interrupt = Interrupt()
    with pytest.raises(KeyboardInterrupt), held_for(interrupt) as held:
        held.enter_context(workdir.locked(tmp_path))
        interrupt.abandoned = True
        raise KeyboardInterrupt
    with pytest.raises(UsageError, match="another process"), workdir.locked(tmp_path):
        raise AssertionError("entered")
    interrupt.ended.set()
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        with contextlib.suppress(UsageError), workdir.locked(tmp_path):
            return
    raise AssertionError("the lock is kept")


def test_a_workdir_that_cannot_be_written_is_one_line(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="file cannot be written"):
        with workdir.locked(tmp_path / "file"):
            raise AssertionError("entered")
    (tmp_path / "run" / ".lock").mkdir(parents=True)  # root could write a folder without rights
    with pytest.raises(UsageError, match="run cannot be written: Is a directory"):
        with workdir.locked(tmp_path / "run"):
            raise AssertionError("entered")


def test_a_workdir_that_is_removed_during_the_run_is_one_line(tmp_path):
    folder = tmp_path / "run"
    with pytest.raises(RunError, match="run was removed while it was in use"):
        with workdir.locked(folder):
            shutil.rmtree(folder)
            (folder / "history.csv").write_text("")
    with pytest.raises(FileNotFoundError), workdir.locked(folder):
        (tmp_path / "elsewhere" / "file").write_text("")


def test_the_crop_size_is_compared_once_it_is_known(tmp_path):
    workdir.prepare_workdir(tmp_path, smoke("data.crop_size=64"))
    workdir.check(tmp_path, smoke())
    with pytest.raises(UsageError, match="data.crop_size: 64 -> 96"):
        workdir.check(tmp_path, smoke("data.crop_size=96"))


def make_crops(**changes):
    """A config as training makes it, with the crop recipe of its data."""
    config = smoke().copy_and_resolve_references()
    recipe = CropRecipe(min_quality=(("size", 40.0),), every=2)
    config.crops.update(dataclasses.asdict(dataclasses.replace(recipe, **changes)))
    return config


def test_crops_that_are_made_otherwise_are_refused(tmp_path):
    workdir.prepare_workdir(tmp_path, make_crops())
    workdir.prepare_workdir(tmp_path, make_crops())
    for changes, message in (
        ({"margin": 2.0}, "crops.margin: 1.3 -> 2.0"),
        ({"every": None, "frames": 8}, "crops.every: 2 -> None; crops.frames: None -> 8"),
        ({"min_quality": ()}, r"crops.min_quality: \(\('size', 40.0\),\) -> \(\)"),
    ):
        with pytest.raises(UsageError, match=message):
            workdir.prepare_workdir(tmp_path, make_crops(**changes))
    workdir.prepare_workdir(tmp_path, smoke())  # data whose recipe is not known
    assert workdir.load(tmp_path) == make_crops()


def test_a_crop_recipe_that_becomes_known_is_recorded(tmp_path):
    workdir.prepare_workdir(tmp_path, smoke())
    workdir.prepare_workdir(tmp_path, make_crops())
    assert workdir.load(tmp_path) == make_crops()


@pytest.mark.parametrize(
    "text",
    [
        *("", "[]", "null", '{"name": ', "\udcff"),
        '{"seed": ' * 100 + "1" + "}" * 100,
        "[" * 100_000,
        '{"seed": 1, "seed": 2}',
    ],
    ids=["empty", "array", "null", "cut", "bytes", "nested", "deep", "twice"],
)
def test_a_config_that_cannot_be_read_is_one_line(tmp_path, text):
    (tmp_path / "config.json").write_text(text, encoding="utf-8", errors="surrogateescape")
    with pytest.raises(UsageError, match="config.json is damaged") as caught:
        workdir.load(tmp_path)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 400
