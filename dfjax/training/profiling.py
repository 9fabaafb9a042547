"""A profile of some training steps, for TensorBoard's profiler or Perfetto."""

import re
from pathlib import Path

import jax

from dfjax.errors import UsageError


def read_steps(text: str) -> tuple[int, int]:
    """Returns the integers of `START:STOP`, or (-1, -1) for an empty text.

    Raises:
        UsageError: The text has another form, or STOP is not greater than START.
    """
    match = re.fullmatch(r"(\d+):(\d+)", text)
    if text and not (match and int(match[1]) < int(match[2])):
        raise UsageError(f"profile={text!r} is not START:STOP with START < STOP, in steps")
    return (int(match[1]), int(match[2])) if match else (-1, -1)


class Profiler:
    """Writes a profile of steps START to STOP - 1 to `workdir/profile`.

    Args:
        steps: Steps as `START:STOP`, or an empty text for no profile.
        workdir: Folder of the run.

    Raises:
        UsageError: `steps` is not of this form.
    """

    def __init__(self, steps: str, workdir: Path) -> None:
        self.start, self.stop = read_steps(steps)
        self.folder = workdir / "profile"
        self.tracing = False

    def at_step(self, step: int) -> None:
        """Starts or stops the profile; the loop calls this before each step with its number."""
        if self.start <= step < self.stop and not self.tracing:
            jax.profiler.start_trace(str(self.folder))
            self.tracing = True
        elif step >= self.stop:
            self.close()

    def close(self) -> None:
        """Ends the profile if one is being recorded."""
        if self.tracing:
            jax.profiler.stop_trace()
            self.tracing = False
