"""A trace of some steps, for TensorBoard's profiler or Perfetto."""

import re
from pathlib import Path

import jax

from dfjax.errors import UsageError


def read_steps(text: str) -> tuple[int, int]:
    """Returns (START, STOP) of `START:STOP`, (-1, -1) of an empty text.

    Raises:
        UsageError: the text has another form, or STOP is not after START.
    """
    match = re.fullmatch(r"(\d+):(\d+)", text)
    if text and not (match and int(match[1]) < int(match[2])):
        raise UsageError(f"profile={text!r} is not START:STOP with START < STOP, in steps")
    return (int(match[1]), int(match[2])) if match else (-1, -1)


class Profiler:
    """Traces steps START up to STOP of `config.profile = "START:STOP"` into `workdir/profile`.

    Raises:
        UsageError: as `read_steps`.
    """

    def __init__(self, steps: str, workdir: Path) -> None:
        self.start, self.stop = read_steps(steps)
        self.folder = workdir / "profile"
        self.tracing = False

    def at_step(self, step: int) -> None:
        """Starts or stops the trace; called before each step with its number."""
        if self.start <= step < self.stop and not self.tracing:
            jax.profiler.start_trace(str(self.folder))
            self.tracing = True
        elif step >= self.stop:
            self.close()

    def close(self) -> None:
        """Ends the trace if one is running."""
        if self.tracing:
            jax.profiler.stop_trace()
            self.tracing = False
