"""Exit codes of the command line and the exceptions that lead to them. Both are public."""

import difflib
import errno
from collections.abc import Iterable

OK, FINDING, USAGE, PREEMPTED, INTERRUPTED = 0, 1, 2, 75, 130

NO_SPACE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
NO_SPACE_WORDS = ("No space left", "quota exceeded", "File too large")
"""Errors of a full disk, as the system and as libraries report them."""


WRONG_PLACE = {
    *(errno.EEXIST, errno.ENOTDIR, errno.EISDIR, errno.EACCES, errno.EPERM, errno.EROFS),
    *(errno.ENAMETOOLONG, errno.ELOOP),
}
"""What the system says of a path that the user should not have named, such as a read-only one."""
LOST = {errno.ENOENT, errno.ESTALE, errno.EIO}
"""What it says of a path that was there and is lost: deleted by somebody, or on a failing disk."""


class UsageError(Exception):
    """A request is invalid. The command line prints the message and exits with code 2."""


class RunError(Exception):
    """A run cannot continue (disk full, all losses NaN). Printed as one line, exit code 1."""


class InputError(Exception):
    """One input is unusable (unreadable, empty, no face). Callers list it and skip it."""


class FileError(InputError, UsageError):
    """A file that was given is damaged or of another kind.

    Callers that go through many inputs list it and skip it, as an `InputError`. Where the file is
    all there is, the command line prints the message and exits with code 2.
    """


class Interrupted(KeyboardInterrupt):
    """A call from Python was interrupted and has saved its state. The same call resumes it."""

    def _render_traceback_(self) -> list[str]:
        """Returns the traceback that IPython shows: the message only, as this is not an error."""
        return [str(self)]


def first_line(error: BaseException | str) -> str:
    """Returns the first line of an error's message, or its class where it has none."""
    return (str(error).strip() or type(error).__name__).splitlines()[0]


def is_full_disk(error: BaseException | None) -> bool:
    """Returns whether an error, or the one that it was raised from, is that of a full disk."""
    while error is not None:
        number = error.errno if isinstance(error, OSError) else None
        if number in NO_SPACE or any(words in str(error) for words in NO_SPACE_WORDS):
            return True
        error = error.__cause__ or error.__context__
    return False


def classify_os_error(error: OSError) -> int | None:
    """Returns the exit code of an error about a path, or None for errors that are bugs."""
    if error.filename is None or error.errno not in WRONG_PLACE | LOST:
        return None
    return FINDING if error.errno in LOST else USAGE


def unknown(kind: str, name: str, valid: Iterable[str]) -> UsageError:
    """Returns the error for an unknown name; its message suggests a near match and lists all.

    Args:
        kind: What the name names, such as "model".
        name: Name that was given.
        valid: Valid names.
    """
    names = sorted(valid)
    near = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    return UsageError(f"unknown {kind} {name!r}.{hint} Valid: {', '.join(names)}.")
