"""The position inside a run, which a checkpoint keeps beside the arrays, and the plan of a run."""

import dataclasses


@dataclasses.dataclass
class RunState:
    """The position in a run, which a checkpoint keeps beside the arrays.

    Attributes:
        epoch: Number of epochs that are trained and validated.
        loss_sum: Sum of the losses of this epoch's finite steps so far.
        accuracy_sum: Sum of the accuracies of the same steps.
        loss_steps: Number of these steps.
        skipped_in_a_row: Number of consecutive steps up to now that were skipped as not finite.
        seconds: Training time so far in seconds, over all resumptions.
        finished: Whether the last epoch is over or early stopping has ended the run.
    """

    epoch: int = 0
    loss_sum: float = 0.0
    accuracy_sum: float = 0.0
    loss_steps: int = 0
    skipped_in_a_row: int = 0
    seconds: float = 0.0
    finished: bool = False


@dataclasses.dataclass(frozen=True)
class Plan:
    """Lengths and intervals of a run, derived once from the config and the data.

    `max_skipped` is the number of consecutive skipped steps above which the run fails.
    """

    steps_per_epoch: int
    epochs: int
    batch_size: int
    log_every: int
    save_every: int
    max_skipped: int


MONITOR_SCHEMA = {
    "best?": object,  # a number, which may be infinite, or null
    "best_epoch?": int,
    "waited?": int,
    "best_loss?": object,
    "best_constant?": bool,
}
RUN_SCHEMA = {
    "run": {
        "epoch": int,
        "loss_sum?": float,
        "accuracy_sum?": float,
        "loss_steps?": int,
        "skipped_in_a_row?": int,
        "seconds?": float,
        "finished?": bool,
    },
    "stop": MONITOR_SCHEMA,
    "plateau": MONITOR_SCHEMA,
}
"""What a run needs of the JSON in its checkpoint, see `dfjax.json_files`."""
