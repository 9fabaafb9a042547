"""Checkpoints: one atomic Orbax step holds the state and everything else a resumed run needs.

Steps are written below `last/STEP` and `best/STEP`; the two folders have their own retention. A run
that is killed between the two writes has a best step that is newer than its last one. Resuming
always starts from `last`.
"""

import hashlib
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import orbax.checkpoint as ocp

from dfjax.errors import RunError, UsageError
from dfjax.shapes import Variables

KINDS = ("last", "best")
DAMAGE = (ValueError, KeyError, OSError, TypeError, AttributeError)
"""Exceptions that Orbax raises when files are missing, truncated or hold another state."""
ITEMS = ("variables", "training")


class Checkpoints:
    """The checkpoints of one workdir.

    Args:
        workdir: Folder of the run; checkpoints lie in its `checkpoints/{last,best}/STEP/`.
        keep: Number of `last` steps that are kept, at least 1. With 2, the step before the newest
            one is used if the newest is damaged.
    """

    def __init__(self, workdir: Path, *, keep: int = 2) -> None:
        self.root = workdir.resolve() / "checkpoints"
        self.managers = {
            "last": _manager(self.root / "last", max(1, keep)),
            "best": _manager(self.root / "best", 1),
        }

    def save(self, kind: str, step: int, items: dict[str, Any], run: dict[str, Any]) -> None:
        """Writes one step and returns when all of it is on disk.

        Args:
            kind: `last` or `best`.
            step: Number of batches that the run has consumed.
            items: `variables` and `training`, pytrees of arrays (`TrainState.to_items`).
            run: JSON object with the state that is not an array: the position in the run, the state
                of early stopping, the config and the versions.

        Raises:
            RunError: The disk is full; earlier checkpoints are complete.
        """
        manager = self.managers[kind]
        if step in manager.all_steps():
            manager.delete(step)
        arrays = {name: ocp.args.StandardSave(items[name]) for name in ITEMS}
        try:
            manager.save(step, args=ocp.args.Composite(run=ocp.args.JsonSave(run), **arrays))
            manager.wait_until_finished()
        except (OSError, ValueError) as error:
            if "No space left" not in str(error):
                raise
            raise RunError(
                f"the disk of {self.root} is full: step {step} is not saved, earlier checkpoints "
                "are complete. Free some space and start the run again to resume it"
            ) from error

    def restore_last(
        self, template: dict[str, Any], warn: Callable[[str], None]
    ) -> tuple[dict[str, Any], dict[str, Any]] | None:
        """Returns the newest readable `last` step as (items, run), or None when there is none.

        A step that cannot be read is reported through `warn` and moved to `checkpoints/damaged/`,
        and the step before it is read.

        Args:
            template: Items with `jax.ShapeDtypeStruct` leaves: shapes, dtypes and shardings.
            warn: Function that receives one line for each damaged step.

        Raises:
            UsageError: There are steps, and none can be read.
        """
        manager = self.managers["last"]
        steps = sorted(manager.all_steps(), reverse=True)
        damaged = []
        for step in steps:
            try:
                restored = _restore(manager, step, template)
            except DAMAGE as error:
                warn(f"checkpoint last/{step} is damaged and is set aside: {_reason(error)}")
                damaged.append(step)
                continue
            for bad in damaged:
                self._set_aside(bad)
            return restored
        if steps:
            raise UsageError(
                f"no checkpoint in {self.root / 'last'} can be read (steps {steps}); they may "
                "belong to another config. Move the folder away to start over"
            )
        return None

    def _set_aside(self, step: int) -> None:
        damaged = self.root / "damaged"
        damaged.mkdir(exist_ok=True)
        target = damaged / f"last-{step}"
        shutil.rmtree(target, ignore_errors=True)
        shutil.move(self.root / "last" / str(step), target)
        self.managers["last"].reload()

    def restore_variables(self, kind: str) -> tuple[int, Variables]:
        """Returns (step, variables) of the newest step of `kind`, on one device.

        Raises:
            UsageError: There is none, or it is damaged.
        """
        manager = self.managers[kind]
        step = manager.latest_step()
        other = next(name for name in KINDS if name != kind)
        if step is None:
            there = self.latest_step(other) is not None
            advice = f"checkpoint={other} exists" if there else "train first"
            raise UsageError(f"{self.root.parent} has no {kind} checkpoint yet; {advice}")
        try:
            return step, _restore_variables(manager, step)
        except DAMAGE as error:
            raise UsageError(
                f"checkpoint {kind}/{step} of {self.root.parent} is damaged: {_reason(error)}; "
                f"checkpoint={other} may be intact"
            ) from error

    def latest_step(self, kind: str) -> int | None:
        """Returns the newest step of `kind`, or None."""
        return self.managers[kind].latest_step()

    def sha256(self, kind: str, step: int) -> str:
        """Returns a hash of the files with the variables of one step, for audit logs."""
        digest = hashlib.sha256()
        folder = self.root / kind / str(step) / "variables"
        for file in sorted(p for p in folder.rglob("*") if p.is_file()):
            digest.update(str(file.relative_to(folder)).encode())
            digest.update(file.read_bytes())
        return digest.hexdigest()

    def close(self) -> None:
        """Waits for pending writes and ends the threads of the checkpoint managers."""
        for manager in self.managers.values():
            manager.close()


def _manager(root: Path, keep: int) -> ocp.CheckpointManager:
    root.mkdir(parents=True, exist_ok=True)
    options = ocp.CheckpointManagerOptions(
        max_to_keep=keep, enable_async_checkpointing=False, cleanup_tmp_directories=True
    )
    # Without named handlers, Orbax cannot read the shapes of a step that another process wrote.
    handlers: dict[str, Any] = {name: ocp.StandardCheckpointHandler() for name in ITEMS}
    handlers["run"] = ocp.JsonCheckpointHandler()
    return ocp.CheckpointManager(root, options=options, item_handlers=handlers)


def _restore(
    manager: ocp.CheckpointManager, step: int, template: dict[str, Any]
) -> tuple[dict[str, Any], dict[str, Any]]:
    arrays = {name: ocp.args.StandardRestore(template[name]) for name in ITEMS}
    restored = manager.restore(step, args=ocp.args.Composite(run=ocp.args.JsonRestore(), **arrays))
    return {name: restored[name] for name in ITEMS}, restored["run"]


def _restore_variables(manager: ocp.CheckpointManager, step: int) -> Variables:
    device = jax.sharding.SingleDeviceSharding(jax.local_devices()[0])
    template = jax.tree.map(
        lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=device),
        manager.item_metadata(step)["variables"].tree,
    )
    args = ocp.args.Composite(variables=ocp.args.StandardRestore(template))
    return manager.restore(step, args=args)["variables"]


def _reason(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0][:200]


def as_template(shapes: Any, shardings: Any) -> Any:
    """Returns the tree of `jax.ShapeDtypeStruct` with shardings that `restore_last` takes."""
    return jax.tree.map(
        lambda s, sharding: jax.ShapeDtypeStruct(s.shape, s.dtype, sharding=sharding),
        shapes,
        shardings,
    )
