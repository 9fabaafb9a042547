"""Ctrl-C and SIGTERM ask the loop to save and leave; a second Ctrl-C leaves at once."""

import signal
from types import FrameType, TracebackType

from dfjax.errors import INTERRUPTED, PREEMPTED

EXIT_CODES = {signal.SIGINT: INTERRUPTED, signal.SIGTERM: PREEMPTED}


class Stopped(Exception):
    """The run was asked to stop and has been saved; `code` is the exit code of the process."""

    def __init__(self, signum: int) -> None:
        super().__init__(f"stopped by {signal.Signals(signum).name}")
        self.code = EXIT_CODES[signal.Signals(signum)]


class SignalGuard:
    """While entered, turns SIGINT and SIGTERM into a request that `check` raises as `Stopped`."""

    def __init__(self) -> None:
        self.requested: int | None = None
        self._previous: dict[int, signal._HANDLER] = {}

    def __enter__(self) -> "SignalGuard":
        for signum in EXIT_CODES:
            self._previous[signum] = signal.signal(signum, self._on_signal)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        for signum, handler in self._previous.items():
            signal.signal(signum, handler)

    def _on_signal(self, signum: int, frame: FrameType | None) -> None:
        if self.requested is not None and signum == signal.SIGINT:
            raise KeyboardInterrupt  # the second Ctrl-C: now
        self.requested = signum

    def check(self) -> None:
        """Raises `Stopped` if a signal came."""
        if self.requested is not None:
            raise Stopped(self.requested)
