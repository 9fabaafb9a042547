"""Learning-rate schedules: step -> learning rate."""

from typing import Any

import optax

from dfjax.errors import UsageError, unknown

SCHEDULES = ("constant", "linear", "cosine", "restarts")


def make_schedule(
    name: str,
    *,
    learning_rate: float,
    warmup_steps: int,
    total_steps: int,
    final_scale: float,
    period: int = 0,
    hold: float = 0.0,
) -> optax.Schedule:
    """Returns a schedule: a linear warm-up to `learning_rate`, then a curve chosen by name.

    Args:
        name: `constant`, `linear` (constant for the share `hold` of the run, then a linear decay),
            `cosine` (one decay to the end of the run) or `restarts` (a cosine decay every `period`
            steps: Loshchilov and Hutter 2017, SGDR, with equal periods).
        learning_rate: Learning rate at the end of the warm-up.
        warmup_steps: Number of steps of the warm-up; 0 for none.
        total_steps: Number of steps of the run.
        final_scale: Last value of a decay, as a fraction of `learning_rate`.
        period: Number of steps between restarts.
        hold: Share of the steps after the warm-up before a linear decay.

    Raises:
        UsageError: The name is unknown, or `restarts` has no period.
    """
    steps = max(1, total_steps - warmup_steps)
    if name == "constant":
        after = optax.constant_schedule(learning_rate)
    elif name == "linear":
        held = min(round(hold * steps), steps - 1)
        final = learning_rate * final_scale
        after = optax.linear_schedule(learning_rate, final, steps - held, transition_begin=held)
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
