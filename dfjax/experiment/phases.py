"""Training in phases: the configs and workdirs of the phases that `config.phases` lists.

Phase 1 is the config itself. Each later phase is the one before with some keys set to other values,
and starts from the best checkpoint of the one before:

  phases = (("optimizer.learning_rate=1e-4", "train.epochs=20"),)

Phase k lies in WORKDIR/phasek, the last one in WORKDIR itself, where evaluation, prediction and
export find the finished detector.
"""

from pathlib import Path
from typing import NamedTuple

from ml_collections import ConfigDict

from dfjax.config import override
from dfjax.errors import UsageError
from dfjax.experiment import workdir as workdirs
from dfjax.experiment.config_check import check_config, check_loaded


class Phase(NamedTuple):
    """One run of training.

    Attributes:
        config: Complete config of this phase.
        workdir: Workdir of this phase.
    """

    config: ConfigDict
    workdir: Path

    @property
    def begun(self) -> bool:
        """Whether the phase has started, so that those before it are over."""
        return (self.workdir / "config.json").exists()


def plan_phases(config: ConfigDict, workdir: Path) -> list[Phase]:
    """Returns the phases in order; a config without `phases` is one.

    Raises:
        UsageError: `phases` is no tuple of tuples of overrides, one of them cannot be applied, or
            a phase's config cannot be used.
    """
    for items in config.phases:
        if isinstance(items, str) or not all(isinstance(item, str) for item in items):
            raise UsageError(
                "phases is a tuple with a tuple of overrides for every further phase, like "
                f"(('train.epochs=15', 'optimizer.learning_rate=1e-4'),), not {config.phases!r}"
            )
    folders = [workdir / f"phase{number}" for number in range(1, len(config.phases) + 1)]
    phases = [Phase(config, [*folders, workdir][0])]
    for number, items in enumerate(config.phases, 1):
        last = number == len(config.phases)
        before = f"{{workdir}}/{'' if last else '../'}phase{number}"
        changed = override(phases[-1].config, [*items, f"train.init_from={before}"])
        phases.append(Phase(changed, [*folders, workdir][number]))
    for phase in phases:
        check_config(phase.config)
    return phases


def check_frozen(phases: list[Phase]) -> None:
    """Checks that phases which have not begun freeze no parameters at random values.

    Raises:
        UsageError: A phase freezes parameters that nothing has loaded.
    """
    for phase in phases:
        if not phase.begun:
            check_loaded(phase.config)


def check_workdirs(phases: list[Phase], workdir: Path) -> None:
    """Checks the workdir of every phase before the first one starts.

    Raises:
        UsageError: it belongs to another config.
    """
    if len(phases) == 1 and Phase(phases[0].config, workdir / "phase1").begun:
        raise UsageError(
            f"{workdir} holds phase 1 of a run in phases, this config has none; use a new "
            "workdir, or take the change back"
        )
    for phase in phases:
        workdirs.check(phase.workdir, phase.config)
