"""What two runs are compared by."""

import jax
import numpy as np

from dfjax.training.checkpoint import Checkpoints


def read_final_state(workdir):
    """Returns the step of the last checkpoint and everything in it, as numpy."""
    checkpoints = Checkpoints(workdir)
    manager = checkpoints.managers["last"]
    step = manager.latest_step()
    trees = [manager.restore(step)[item] for item in ("variables", "training")]
    checkpoints.close()
    return step, jax.tree.map(np.asarray, trees)
