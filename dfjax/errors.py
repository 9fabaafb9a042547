"""The two ways a command ends early, and their exit codes: a public contract."""

import difflib
from collections.abc import Iterable

OK, FINDING, USAGE, PREEMPTED, INTERRUPTED = 0, 1, 2, 75, 130


class UsageError(Exception):
    """What the user asked for cannot be done as asked: printed as one line, exit code 2."""


class RunError(Exception):
    """A run cannot go on (disk full, nothing but NaN): printed as one line, exit code 1."""


class InputError(Exception):
    """One input is unusable (unreadable, empty, no face): counted and listed, the others go on."""


class Interrupted(KeyboardInterrupt):
    """A call from Python was interrupted after saving; the same call goes on from there."""

    def _render_traceback_(self) -> list[str]:
        """Returns what a notebook shows: one line, because nothing went wrong."""
        return [str(self)]


def unknown(kind: str, name: str, valid: Iterable[str]) -> UsageError:
    """Returns the error for an unknown `name`: it offers the nearest valid one and lists all."""
    names = sorted(valid)
    near = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    return UsageError(f"unknown {kind} {name!r}.{hint} Valid: {', '.join(names)}.")
