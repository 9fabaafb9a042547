"""A trace of some steps, for TensorBoard's profiler or Perfetto."""

import re
from pathlib import Path

import jax

from dfjax.errors import UsageError


class Profiler:
    """Traces steps START up to STOP of `config.profile = "START:STOP"` into `workdir/profile`.

    Raises:
        UsageError: the text has another form, or STOP is not after START.
    """

    def __init__(self, steps: str, workdir: Path) -> None:
        match = re.fullmatch(r"(\d+):(\d+)", steps)
        if steps and not (match and int(match[1]) < int(match[2])):
            raise UsageError(f"profile={steps!r} is not START:STOP with START < STOP, in steps")
        self.start, self.stop = (int(match[1]), int(match[2])) if match else (-1, -1)
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
