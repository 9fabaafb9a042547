"""Learning-rate schedules: step -> learning rate."""

from typing import Any

import optax

from dfjax.errors import UsageError, unknown

SCHEDULES = ("constant", "cosine", "restarts")


def make_schedule(
    name: str,
    *,
    learning_rate: float,
    warmup_steps: int,
    total_steps: int,
    final_scale: float,
    period: int = 0,
) -> optax.Schedule:
    """Returns a linear warm-up to `learning_rate`, then one of the shapes.

    Args:
        name: `constant`, `cosine` (to the end of the run) or `restarts` (cosines of `period` steps,
            each from the peak: Loshchilov and Hutter 2017, SGDR, without stretching).
        learning_rate: the peak.
        warmup_steps: length of the warm-up; 0 for none.
        total_steps: steps of the whole run.
        final_scale: a cosine's last value, as a fraction of the peak.
        period: steps between restarts.

    Raises:
        UsageError: the name is unknown, or restarts without a period.
    """
    steps = max(1, total_steps - warmup_steps)
    if name == "constant":
        after = optax.constant_schedule(learning_rate)
    elif name == "cosine":
        after = optax.cosine_decay_schedule(learning_rate, steps, final_scale)
    elif name == "restarts":
        if period < 1:
            raise UsageError("schedule.name=restarts needs schedule.period, in steps")
        cosine = optax.cosine_decay_schedule(learning_rate, period, final_scale)

        def after(step: Any) -> Any:
            return cosine(step % period)

    else:
        raise unknown("schedule", name, SCHEDULES)
    if not warmup_steps:
        return after
    warmup = optax.linear_schedule(0.0, learning_rate, warmup_steps)
    return optax.join_schedules([warmup, after], [warmup_steps])
