"""Orbax's managers of checkpoints, and how the arrays of a step are written and read."""

from pathlib import Path
from typing import Any

import jax
import numpy as np
import orbax.checkpoint as ocp
from jax.experimental import multihost_utils

from dfjax import processes
from dfjax.shapes import Variables
from dfjax.training.step_checksums import ChecksummedPath

ITEMS = ("variables", "training")
"""Names of the pytrees of a step."""


def make_manager(root: Path, keep: int, read_only: bool, alone: bool) -> ocp.CheckpointManager:
    """Returns the manager of the steps in a folder, which is made unless `read_only`.

    Args:
        root: Folder of the steps; its name tells the managers of a run apart.
        keep: Number of steps that are kept.
        read_only: Whether nothing is written.
        alone: Whether this process writes a step by itself, not together with the others.
    """
    if not read_only:
        root.mkdir(parents=True, exist_ok=True)
    group = _processes_that_write(root.name, alone)
    options = ocp.CheckpointManagerOptions(
        multiprocessing_options=group,
        max_to_keep=None if read_only else keep,
        save_interval_steps=0 if read_only else 1,
        create=False,
        read_only=read_only,
        enable_async_checkpointing=not alone and not read_only,
        cleanup_tmp_directories=not read_only,
        temporary_path_class=ChecksummedPath,
        lightweight_initialize=True,  # opens no file of a step, which may be damaged
    )
    # Without named handlers, Orbax cannot read the shapes of a step that another process wrote.
    handlers: dict[str, Any] = {
        name: ocp.StandardCheckpointHandler(multiprocessing_options=group) for name in ITEMS
    }
    handlers["run"] = ocp.JsonCheckpointHandler(multiprocessing_options=group)
    return ocp.CheckpointManager(root, options=options, item_handlers=handlers)


def _processes_that_write(name: str, alone: bool) -> ocp.options.MultiprocessingOptions:
    """Returns the processes that a manager waits for: this one, or all of the run.

    Both managers of a run write in the background, each with barriers of its own name.
    """
    if not alone or processes.count() == 1:
        return ocp.options.MultiprocessingOptions(barrier_sync_key_prefix=name)
    own = processes.index()
    return ocp.options.MultiprocessingOptions(
        primary_host=own, active_processes={own}, barrier_sync_key_prefix=f"{name}{own}"
    )


def gather(leaf: Any) -> Any:
    """Returns an array whose parts several processes hold as one numpy array, in process 0.

    The others, which have to call this too, get None.
    """
    if not isinstance(leaf, jax.Array) or leaf.is_fully_addressable:
        return leaf
    whole = multihost_utils.process_allgather(leaf, tiled=True)
    return np.asarray(whole) if processes.is_first() else None


def restore_items(
    manager: ocp.CheckpointManager, step: int, template: dict[str, Any]
) -> dict[str, Any]:
    """Returns the items of a step with the shapes, dtypes and shardings of `template`."""
    arrays = {name: ocp.args.StandardRestore(template[name]) for name in ITEMS}
    restored = manager.restore(step, args=ocp.args.Composite(**arrays))
    return {name: restored[name] for name in ITEMS}


def restore_variables(manager: ocp.CheckpointManager, step: int) -> Variables:
    """Returns the variables of a step, on one device."""
    device = jax.sharding.SingleDeviceSharding(jax.local_devices()[0])
    template = jax.tree.map(
        lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=device),
        manager.item_metadata(step)["variables"].tree,
    )
    args = ocp.args.Composite(variables=ocp.args.StandardRestore(template))
    return manager.restore(step, args=args)["variables"]
