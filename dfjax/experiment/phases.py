"""Training in phases: the configs and workdirs of the phases that `config.phases` lists.

Phase 1 is the config itself. Each later phase has the config of the phase before with some keys
overridden, and starts from its best checkpoint:

  phases = (("optimizer.learning_rate=1e-4", "train.epochs=20"),)

The workdir of phase k is WORKDIR/phasek, and that of the last phase is WORKDIR itself, so that
evaluation, prediction and export find the final detector there.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from ml_collections import ConfigDict

from dfjax import processes
from dfjax.config import override
from dfjax.config_ranges import find_check
from dfjax.console import say
from dfjax.errors import UsageError
from dfjax.experiment import workdir as workdirs
from dfjax.experiment.config_check import check_config, check_loaded
from dfjax.experiment.generator_check import is_generator
from dfjax.experiment.initial_backbones import keep_conventions, use_conventions
from dfjax.experiment.parts import make_config_mesh
from dfjax.experiment.stored_features import use_stored_features


class Phase(NamedTuple):
    """A phase of training.

    Attributes:
        config: Complete config of this phase.
        workdir: Workdir of this phase.
    """

    config: ConfigDict
    workdir: Path

    @property
    def begun(self) -> bool:
        """Whether the phase has started, which implies that earlier phases are finished."""
        return (self.workdir / "config.json").exists()


def plan_run(config: ConfigDict, workdir: Path) -> list[Phase]:
    """Returns the phases of a run, all of them checked before anything is made.

    Args:
        config: The experiment. It stays as it is.
        workdir: Folder for everything that the run writes.

    Raises:
        UsageError: A phase's config cannot be used, or not on the devices of this machine.
    """
    config = config.copy_and_resolve_references().lock()
    if processes.count() > 1 and is_generator(config):
        raise UsageError(
            "a generator trains in one process, with any number of devices, but there are "
            f"{processes.count()} processes"
        )
    use_stored_features(config)
    first = workdir / "phase1" if config.phases else workdir
    if (first / "config.json").exists():
        keep_conventions(config, workdirs.load(first))
    else:
        use_conventions(config)
    phases = plan_phases(config, workdir)
    check_frozen(phases)
    _check_origin(phases[0])
    for phase in phases:
        make_config_mesh(phase.config)
    return phases


def _check_origin(phase: Phase) -> None:
    """Checks that what a new run starts from exists; whether it fits is known once it is read."""
    origin = Path(phase.config.train.init_from)
    if phase.begun or not phase.config.train.init_from:
        return
    if origin.suffix != ".safetensors":
        workdirs.load(origin)
    elif not origin.is_file():
        raise UsageError(f"train.init_from={origin}: there is no such file")


def plan_phases(config: ConfigDict, workdir: Path) -> list[Phase]:
    """Returns the phases in order; a config without `phases` has one phase.

    Args:
        config: Config of the run.
        workdir: Workdir of the run.

    Raises:
        UsageError: `phases` is not a tuple of tuples of overrides, an override cannot be applied,
            or the config of a phase is invalid.
    """
    find_check("phases")("phases", config.phases)
    folders = [workdir / f"phase{number}" for number in range(1, len(config.phases) + 1)]
    phases = [Phase(config, [*folders, workdir][0])]
    for number, items in enumerate(config.phases, 1):
        last = number == len(config.phases)
        before = f"{{workdir}}/{'' if last else '../'}phase{number}"
        origin = [f"train.init_from={before}", *(f"init.{key}=" for key in config.init)]
        changed = override(phases[-1].config, [*items, *origin])
        phases.append(Phase(changed, [*folders, workdir][number]))
    for phase in phases:
        check_config(phase.config)
    return phases


def check_frozen(phases: list[Phase]) -> None:
    """Checks that phases which have not begun do not freeze parameters at random values.

    Raises:
        UsageError: A phase freezes parameters that are not loaded.
    """
    for phase in phases:
        if not phase.begun:
            check_loaded(phase.config)


def check_workdirs(phases: list[Phase], workdir: Path) -> None:
    """Checks the workdirs of all phases before the first one starts.

    Raises:
        UsageError: A workdir belongs to another config.
    """
    if len(phases) == 1 and Phase(phases[0].config, workdir / "phase1").begun:
        raise UsageError(
            f"{workdir} contains phase 1 of a run in phases, but this config has no phases; use a "
            "new workdir or the original config"
        )
    for phase in phases:
        workdirs.check(phase.workdir, phase.config)


def train_phases(phases: list[Phase], run_phase: Callable[..., dict[str, Any]]) -> dict[str, Any]:
    """Trains the phases that are not finished, and returns the summary of the last one.

    Args:
        phases: Phases in order.
        run_phase: Function that trains the config of a phase in its workdir.
    """
    config = phases[0].config
    for number, (phase, following) in enumerate(zip(phases, phases[1:]), 1):
        if not following.begun:
            _say_phase(config, number, phase.workdir)
            run_phase(phase.config, phase.workdir)
    if len(phases) > 1:
        _say_phase(config, len(phases), phases[-1].workdir)
    return run_phase(phases[-1].config, phases[-1].workdir)


def _say_phase(config: ConfigDict, number: int, workdir: Path) -> None:
    """Prints the workdir of a phase and the keys that it overrides."""
    say(f"phase {number} of {len(config.phases) + 1}: {workdir}")
    if number > 1:
        say(f"  with {' '.join(config.phases[number - 2])}")
