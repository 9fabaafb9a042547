"""What the phases of a config are, before anything is trained."""

import pytest

from dfjax.config import load_config
from dfjax.errors import UsageError
from dfjax.experiment import workdir as workdirs
from dfjax.experiment.phases import check_workdirs, plan_phases

THREE = ("--config.phases=(('train.epochs=3', 'optimizer.freeze=()'), ('train.epochs=4',))",)


def plan(folder, *overrides):
    return plan_phases(load_config("dual_stream:smoke", overrides), folder)


def test_a_config_without_phases_is_one_run(tmp_path):
    (phase,) = plan(tmp_path)
    assert phase.workdir == tmp_path and phase.config.train.init_from == ""


def test_each_phase_is_the_one_before_with_changes_and_its_parameters(tmp_path):
    first, second, third = plan(tmp_path, *THREE, "--config.optimizer.freeze=('bias$',)")
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
        plan(tmp_path, f"--config.phases={phases}")


def test_a_change_in_any_phase_is_refused(tmp_path):
    phases = plan(tmp_path, *THREE)
    for phase in phases[:2]:
        workdirs.prepare(phase.workdir, phase.config)
    check_workdirs(plan(tmp_path, *THREE), tmp_path)
    for change in ("--config.seed=1", "--config.phases=(('train.epochs=5',), ('train.epochs=4',))"):
        with pytest.raises(UsageError, match="trained with another config"):
            check_workdirs(plan(tmp_path, *THREE, change), tmp_path)
    with pytest.raises(UsageError, match="holds phase 1 of a run in phases"):
        check_workdirs(plan(tmp_path), tmp_path)
