"""Tests the planning of the phases of a config."""

import pytest

from dfjax.config import VARIANTS, config_names, load_config
from dfjax.errors import UsageError
from dfjax.experiment import workdir as workdirs
from dfjax.experiment.phases import check_frozen, check_workdirs, plan_phases

THREE = ("phases=(('train.epochs=3', 'optimizer.freeze=()'), ('train.epochs=4',))",)


def plan(folder, *overrides):
    return plan_phases(load_config("dual_stream:smoke", overrides), folder)


def test_a_config_without_phases_is_one_run(tmp_path):
    (phase,) = plan(tmp_path)
    assert phase.workdir == tmp_path and phase.config.train.init_from == ""


def test_each_phase_is_the_one_before_with_changes_and_its_parameters(tmp_path):
    first, second, third = plan(
        tmp_path, *THREE, "optimizer.freeze=('bias$',)", "train.freeze_random=True"
    )
    folders = [phase.workdir for phase in (first, second, third)]
    assert folders == [tmp_path / "phase1", tmp_path / "phase2", tmp_path]
    assert [phase.config.train.epochs for phase in (first, second, third)] == [2, 3, 4]
    assert first.config.optimizer.freeze == ("bias$",)
    assert second.config.optimizer.freeze == third.config.optimizer.freeze == ()
    origins = [phase.config.train.init_from for phase in (first, second, third)]
    assert origins == ["", "{workdir}/../phase1", "{workdir}/phase2"]


@pytest.mark.parametrize(
    ("phases", "message"),
    [
        ("('train.epochs=3',)", "a tuple with a tuple of overrides"),
        ("(('train.epoch=3',),)", "Did you mean 'train.epochs'"),
        ("(('train.epochs=0',),)", "train.epochs must be at least 1"),
        ("(('train.epochs',),)", "section.key=value"),
    ],
)
def test_what_cannot_be_applied_is_told_before_anything_is_trained(tmp_path, phases, message):
    with pytest.raises(UsageError, match=message):
        plan(tmp_path, f"phases={phases}")


def test_a_change_in_any_phase_is_refused(tmp_path):
    phases = plan(tmp_path, *THREE)
    for phase in phases[:2]:
        workdirs.prepare_workdir(phase.workdir, phase.config)
    check_workdirs(plan(tmp_path, *THREE), tmp_path)
    for change in ("seed=1", "phases=(('train.epochs=5',), ('train.epochs=4',))"):
        with pytest.raises(UsageError, match="trained with another config"):
            check_workdirs(plan(tmp_path, *THREE, change), tmp_path)
    with pytest.raises(UsageError, match="contains phase 1 of a run in phases"):
        check_workdirs(plan(tmp_path), tmp_path)


@pytest.mark.parametrize("given", ["train.init_from=runs/other", "train.freeze_random=True"])
def test_random_parameters_are_frozen_only_where_the_config_says_so(tmp_path, given):
    config = load_config("efficientnet_b4_380")
    with pytest.raises(UsageError, match="none are loaded.*train.freeze_random=True"):
        check_frozen(plan_phases(config, tmp_path))
    check_frozen(plan_phases(load_config("efficientnet_b4_380", [given]), tmp_path))
    for phase in ("phase1", "."):  # begun by an earlier version: goes on
        workdirs.prepare_workdir(tmp_path / phase, config)
    check_frozen(plan_phases(config, tmp_path))


@pytest.mark.parametrize("spec", [f"{name}:{v}" for name in config_names() for v in VARIANTS])
def test_small_variants_need_no_trained_parameters(tmp_path, spec):
    check_frozen(plan_phases(load_config(spec), tmp_path))
