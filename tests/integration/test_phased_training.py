"""Training in two phases, interrupted in either one, ends with the same bits."""

import jax
import numpy as np
import pytest

from dfjax.config import load_config
from dfjax.errors import UsageError
from dfjax.experiment import run_data
from dfjax.experiment import train as training
from dfjax.experiment.initial_state import start
from dfjax.experiment.parts import make_parts
from dfjax.training.checkpoint import Checkpoints
from dfjax.training.interrupt import Stopped
from dfjax.weights.safetensors_file import save_safetensors

LAST_STAGE = "^backbone/(?!stage4_block1/conv1/)"
SMALL = (
    "preprocess.size=32",
    "train.ema_decay=0.9",
    "data.eval_clips=1",
    "model.frame_classifier.backbone=resnet18",
    "model.frame_classifier.width=0.125",
    f"phases=(('train.epochs=2', \"optimizer.freeze=('{LAST_STAGE}',)\"),)",
)


def config(*overrides):
    return load_config("efficientnet_b4_380:smoke", [*SMALL, *overrides])


def read(workdir):
    """The variables of the newest `last` checkpoint, by path."""
    checkpoints = Checkpoints(workdir)
    try:
        _, variables = checkpoints.restore_variables("last")
    finally:
        checkpoints.close()
    leaves = jax.tree_util.tree_leaves_with_path(variables)
    return {
        jax.tree_util.keystr(path, simple=True, separator="/"): np.asarray(leaf)
        for path, leaf in leaves
    }


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The workdir of a run that nothing interrupted."""
    workdir = tmp_path_factory.mktemp("whole")
    outcome = training.run_training(config(), workdir)
    assert (outcome["status"], outcome["epochs"]) == ("trained", 2)
    assert outcome["workdir"] == str(workdir)
    return workdir


@pytest.fixture
def stop_in_phase(monkeypatch):
    """Makes the run stop, as a signal would, where it validates for the first time in a phase."""
    whole = training.make_validate

    def arm(number):
        def make_validate(config, *args):
            def stop(variables, check):
                raise Stopped("SIGTERM")

            due = number == (2 if config.train.init_from else 1)
            return stop if due else whole(config, *args)

        monkeypatch.setattr(training, "make_validate", make_validate)

    return arm


@pytest.mark.slow
def test_what_is_frozen_stays_and_the_rest_moves(whole):
    first, last = read(whole / "phase1"), read(whole)
    changed = {path for path in last if (first[path] != last[path]).any()}
    head = {path for path in last if "/backbone/" not in path}
    assert changed == head | {"params/backbone/stage4_block1/conv1/kernel"}
    statistics = {path: value for path, value in last.items() if "batch_stats/backbone" in path}
    assert statistics  # the base never saw a batch in training mode
    for path, value in statistics.items():
        np.testing.assert_array_equal(value, float(path.endswith("/var")), err_msg=path)


@pytest.mark.slow
@pytest.mark.release
def test_a_run_stopped_in_either_phase_goes_on_to_the_same_bits(whole, tmp_path, stop_in_phase):
    for number, over in ((1, False), (2, True)):
        stop_in_phase(number)
        with pytest.raises(Stopped):
            training.run_training(config(), tmp_path)
        assert (tmp_path / "phase1" / "history.csv").exists() == over
        assert not (tmp_path / "history.csv").exists()
    stop_in_phase(0)
    assert training.run_training(config(), tmp_path)["status"] == "trained"
    for folder in ("phase1", "."):
        expected, actual = read(whole / folder), read(tmp_path / folder)
        assert actual.keys() == expected.keys()
        for path, value in expected.items():
            np.testing.assert_array_equal(actual[path], value, err_msg=path)
    assert training.run_training(config(), tmp_path)["status"] == "complete"


@pytest.mark.slow
def test_a_changed_config_is_refused_in_every_phase(whole):
    with pytest.raises(UsageError, match="train.epochs: 1 -> 3"):
        training.run_training(config("train.epochs=3"), whole)
    with pytest.raises(UsageError, match="phases"):
        training.run_training(config("phases=(('train.epochs=4',),)"), whole)


def start_from(source, whole, folder, *overrides):
    """The state that a run without phases starts from, and what it says of that."""
    one = config("phases=()", f"data.path={whole / 'data' / 'pack'}", *overrides)
    pack = run_data.open_data(one, folder)
    rows = {split: run_data.split_rows(pack, one, split) for split in ("train", "val")}
    checkpoints, said = Checkpoints(folder), []
    try:
        state, _ = start(make_parts(one, pack, rows), checkpoints, said.append, {}, str(source))
    finally:
        checkpoints.close()
    return state, said


@pytest.mark.slow
def test_parameters_start_from_another_run_and_what_differs_is_told(whole, tmp_path):
    state, said = start_from(whole, whole, tmp_path, "model.frame_classifier.input_norm=False")
    kernel = state.params["backbone"]["stem_conv"]["kernel"]
    np.testing.assert_array_equal(kernel, read(whole)["params/backbone/stem_conv/kernel"])
    paths = [f"batch_stats/input_norm/{name}" for name in ("mean", "var")]
    paths += [f"params/input_norm/{name}" for name in ("bias", "scale")]
    assert said[1] == f"warning: {', '.join(paths)} of it are not used, since this model lacks them"
    message = (
        r"hidden1_norm/mean has the shape \(64,\), .* \(128,\); both models must have the same"
    )
    with pytest.raises(UsageError, match=message):
        start_from(whole, whole, tmp_path, "model.frame_classifier.hidden=(1024,)")
    with pytest.raises(UsageError, match="is not a workdir"):
        start_from(whole / "data", whole, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("alone", [True, False])
def test_parameters_start_from_a_file_of_the_detector_or_of_its_backbone(whole, tmp_path, alone):
    checkpoints = Checkpoints(whole)
    try:
        _, variables = checkpoints.restore_variables("best")
    finally:
        checkpoints.close()
    if alone:
        variables = {name: tree["backbone"] for name, tree in variables.items()}
    path = tmp_path / "weights.safetensors"
    save_safetensors(path, variables, metadata={})
    state, said = start_from(path, whole, tmp_path / "run")
    kernel = state.params["backbone"]["stem_conv"]["kernel"]
    expected = variables["params"] if alone else variables["params"]["backbone"]
    np.testing.assert_array_equal(kernel, expected["stem_conv"]["kernel"])
    assert said[0] == f"initial parameters are loaded from {path}"
    assert any("initialised at random" in line for line in said) == alone


def test_data_that_cannot_be_cut_leave_the_workdir_free(tmp_path):
    wrong = load_config(
        "resnet18:smoke",
        ["data.stride=3", "data.sampling=stride", "data.flow=True"],
    )
    wrong.data.path = str(run_data.synthetic_pack(load_config("resnet18:smoke"), tmp_path / "data"))
    with pytest.raises(UsageError, match="data.flow needs"):
        training.run_training(wrong, tmp_path / "run")
    assert not (tmp_path / "run" / "config.json").exists()
