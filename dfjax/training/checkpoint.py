"""Checkpoints: one atomic Orbax step holds the state and everything else a resumed run needs.

Steps are written below `last/STEP` and `best/STEP`; the two folders have their own retention. A run
that is killed between the two writes has a best step that is newer than its last one. Resuming
always starts from `last`.
"""

import errno
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import jax
import orbax.checkpoint as ocp

from dfjax import processes
from dfjax.console import say
from dfjax.errors import RunError, UsageError, first_line, is_full_disk
from dfjax.files import hash_folder
from dfjax.json_files import read_json
from dfjax.shapes import Variables
from dfjax.training.orbax_reports import quiet_orbax
from dfjax.training.orbax_steps import (
    ITEMS,
    gather,
    make_manager,
    restore_items,
    restore_variables,
)
from dfjax.training.step_checksums import verify_checksums

T = TypeVar("T")

KINDS = ("last", "best")
RUN_FILE = "run/metadata"
"""Where Orbax keeps the JSON of a step."""


class DamagedStep(Exception):
    """A step that cannot be restored; the message says why."""


class Checkpoints:
    """The checkpoints of one workdir.

    Args:
        workdir: Folder of the run; checkpoints lie in its `checkpoints/{last,best}/STEP/`.
        keep: Number of `last` steps that are kept, at least 1. With 2, the step before the newest
            one is used if the newest is damaged.
        read_only: Whether nothing is written: no folder is made, and the step that a run is just
            writing is left alone.
        push: Function that is called in process 0 when a step is on disk, unless all processes
            write it in the background.
        is_shared: Whether all processes of the run see this folder. Otherwise process 0 gathers the
            arrays and writes all of a step, and each process reads the steps of its own folder.
    """

    def __init__(
        self,
        workdir: Path,
        *,
        keep: int = 2,
        read_only: bool = False,
        push: Callable[[], None] = lambda: None,
        is_shared: bool = True,
    ) -> None:
        self.push = push
        self.alone = processes.count() == 1 or not is_shared  # in what this process writes
        self.root = workdir.resolve() / "checkpoints"
        self.keep = max(1, keep)
        with quiet_orbax():
            self.managers = {
                "last": make_manager(self.root / "last", self.keep, read_only, self.alone),
                "best": make_manager(self.root / "best", 1, read_only, self.alone),
            }

    def save(self, kind: str, step: int, items: dict[str, Any], run: dict[str, Any]) -> None:
        """Writes one step with its checksums and returns when all of it is on disk.

        Of several processes that share the folder each writes its part of the arrays, and returns
        as soon as that is copied: the step appears when all have written theirs (`is_written`), at
        the latest with the next call. An error of writing is then raised by the next call, or by
        `close`.

        Args:
            kind: `last` or `best`.
            step: Number of batches that the run has consumed.
            items: `variables` and `training`, pytrees of arrays (`TrainState.to_items`).
            run: JSON object with the state that is not an array: the position in the run, the state
                of early stopping, the config and the versions.

        Raises:
            RunError: The disk is full, or the folder is gone or cannot be written.
        """
        if self.alone and processes.count() > 1:
            items = jax.tree.map(gather, items)
            if not processes.is_first():
                return
        manager = self.managers[kind]
        arrays = {name: ocp.args.StandardSave(items[name]) for name in ITEMS}
        try:
            if not (self.root / kind).is_dir():  # Orbax would make a new one
                raise FileNotFoundError(errno.ENOENT, "No such folder", str(self.root / kind))
            if self.alone:  # else all have to come to the same result, at the same time
                _check_space(self.root, items)
            with quiet_orbax():
                manager.wait_until_finished()  # with the step before
                if step in manager.all_steps():
                    manager.delete(step)
                manager.save(step, args=ocp.args.Composite(run=ocp.args.JsonSave(run), **arrays))
                if self.alone:
                    manager.wait_until_finished()
        except Exception as error:
            if is_full_disk(error):
                raise RunError(
                    f"the disk of {self.root} is full: step {step} is not saved, earlier "
                    "checkpoints are complete. Free some space and start the run again to resume it"
                ) from error
            if isinstance(error, OSError) or not (self.root / kind).is_dir():
                raise RunError(
                    f"step {step} cannot be saved in {self.root / kind}: {_reason(error)}"
                ) from error
            raise
        if self.alone:
            self.push()

    def restore_last(
        self, template: dict[str, Any], warn: Callable[[str], None], schema: Any = object
    ) -> tuple[dict[str, Any], dict[str, Any]] | None:
        """Returns the newest intact `last` step as (items, run), or None when there is none.

        A step that is damaged is reported through `warn` and moved to `checkpoints/damaged/`, and
        the step before it is read.

        Args:
            template: Items with `jax.ShapeDtypeStruct` leaves: shapes, dtypes and shardings.
            warn: Function that receives one line for each damaged step.
            schema: Schema of `run`, see `dfjax.json_files`.

        Raises:
            UsageError: There are steps, and none can be read.
        """

        def restore(step: int) -> tuple[dict[str, Any], dict[str, Any]]:
            run = read_json(self.root / "last" / str(step) / RUN_FILE, schema)
            return restore_items(self.managers["last"], step, template), run

        steps, damaged = self._list_steps("last"), {}
        for step in steps:
            try:
                restored = self._read("last", step, restore, warn)
            except DamagedStep as error:
                damaged[step] = str(error)
                continue
            for bad, reason in damaged.items():
                place = self._set_aside(bad)
                warn(f"checkpoint last/{bad} is damaged and is set aside in {place}: {reason}")
            return restored
        if steps:
            raise UsageError(
                f"no checkpoint in {self.root / 'last'} can be read ({_list(damaged)}); they may "
                "belong to another config. Move the folder away to start over"
            )
        return None

    def _set_aside(self, step: int) -> Path:
        damaged = self.root / "damaged"
        target = damaged / f"last-{step}"
        with processes.first_alone():  # the others read a shared folder after it
            if self.alone or processes.is_first():
                damaged.mkdir(exist_ok=True)
                shutil.rmtree(target, ignore_errors=True)
                shutil.move(self.root / "last" / str(step), target)
        with quiet_orbax():
            self.managers["last"].close()
            self.managers["last"] = make_manager(self.root / "last", self.keep, False, self.alone)
        return target

    def restore_variables(
        self, kind: str, warn: Callable[[str], None] = say
    ) -> tuple[int, Variables]:
        """Returns (step, variables) of the newest intact step of `kind`, on one device.

        Args:
            kind: `last` or `best`.
            warn: Receives one line per damaged step, which stays where it is.

        Raises:
            UsageError: There is none, or all are damaged.
        """
        manager = self.managers[kind]
        steps, damaged = self._list_steps(kind), {}
        other = next(name for name in KINDS if name != kind)
        for step in steps:
            try:
                variables = self._read(
                    kind, step, lambda step: restore_variables(manager, step), warn
                )
            except DamagedStep as error:
                damaged[step] = str(error)
                continue
            for bad, reason in damaged.items():
                warn(f"checkpoint {kind}/{bad} is damaged, {kind}/{step} is used: {reason}")
            return step, variables
        workdir = self.root.parent
        if steps:
            raise UsageError(
                f"checkpoint {kind}/{_list(damaged)} of {workdir} is damaged; "
                f"checkpoint={other} may be intact"
            )
        there = self.latest_step(other) is not None
        advice = f"checkpoint={other} exists" if there else "train first"
        raise UsageError(f"{workdir} has no {kind} checkpoint yet; {advice}")

    def _list_steps(self, kind: str) -> list[int]:
        return sorted(self.managers[kind].all_steps(), reverse=True)

    def _read(
        self, kind: str, step: int, restore: Callable[[int], T], warn: Callable[[str], None]
    ) -> T:
        """Returns what `restore` reads of a step whose checksums are right.

        Raises:
            DamagedStep: They are not, or it cannot be read.
        """
        try:
            with quiet_orbax():
                verified = verify_checksums(self.root / kind / str(step))
                restored = restore(step)
        except (MemoryError, jax.errors.JaxRuntimeError):  # of the device, not of the files
            raise
        except Exception as error:  # Orbax raises any kind, plain `Exception` among them
            raise DamagedStep(_reason(error)) from error
        if not verified:
            warn(
                f"checkpoint {kind}/{step} has no checksums, as an earlier version saved it: "
                "damage to it cannot be told"
            )
        return restored

    def latest_step(self, kind: str) -> int | None:
        """Returns the newest step of `kind`, or None."""
        return self.managers[kind].latest_step()

    def is_written(self) -> bool:
        """Returns whether all of the steps that were saved are on disk."""
        return not any(m.is_saving_in_progress() for m in self.managers.values())

    def sha256(self, kind: str, step: int) -> str:
        """Returns a hash of the files with the variables of one step, for audit logs."""
        return hash_folder(self.root / kind / str(step) / "variables")

    def close(self) -> None:
        """Waits for pending writes and ends the threads of the checkpoint managers."""
        for manager in self.managers.values():
            manager.close()


def _check_space(folder: Path, items: Any) -> None:
    """Checks that a folder's disk has room for some arrays, before any of them is written."""
    needed = sum(leaf.nbytes for leaf in jax.tree.leaves(items))
    if shutil.disk_usage(folder).free < needed:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(folder))


def _list(reasons: dict[int, str]) -> str:
    return "; ".join(f"{step}: {reason}" for step, reason in reasons.items())


def _reason(error: Exception) -> str:
    return first_line(error)[:200]
