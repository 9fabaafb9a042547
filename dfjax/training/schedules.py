"""Learning-rate schedules: step -> learning rate."""

import optax

from dfjax.errors import unknown

SCHEDULES = ("constant", "cosine")


def make_schedule(
    name: str, *, learning_rate: float, warmup_steps: int, total_steps: int, final_scale: float
) -> optax.Schedule:
    """Returns a linear warm-up to `learning_rate`, then `constant` or a `cosine` to the end.

    Args:
        name: `constant` or `cosine`.
        learning_rate: the peak.
        warmup_steps: length of the warm-up; 0 for none.
        total_steps: steps of the whole run, where the cosine ends.
        final_scale: the cosine's last value, as a fraction of the peak.

    Raises:
        UsageError: the name is unknown.
    """
    if name == "constant":
        after = optax.constant_schedule(learning_rate)
    elif name == "cosine":
        steps = max(1, total_steps - warmup_steps)
        after = optax.cosine_decay_schedule(learning_rate, steps, final_scale)
    else:
        raise unknown("schedule", name, SCHEDULES)
    if not warmup_steps:
        return after
    warmup = optax.linear_schedule(0.0, learning_rate, warmup_steps)
    return optax.join_schedules([warmup, after], [warmup_steps])
