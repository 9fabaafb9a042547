"""Keeps Orbax from printing tracebacks of an error that reaches the caller anyway.

A save or restore that fails does so once for each array: Orbax and the event loop that it runs in
log hundreds of tracebacks, and Python warns of writes that never began, some of them after the call
has returned.
"""

import contextlib
import functools
import logging
import sys
import warnings
from collections.abc import Iterator
from typing import Any

LOGGERS = ("absl", "asyncio")


@contextlib.contextmanager
def quiet_orbax() -> Iterator[None]:
    """Drops what Orbax logs while the block runs, and after an error in it what follows."""
    loggers = [logging.getLogger(name) for name in LOGGERS]
    hook, show = sys.unraisablehook, warnings.showwarning
    for logger in loggers:
        logger.addFilter(_drop)
    if not isinstance(hook, functools.partial):
        sys.unraisablehook = functools.partial(_report_others, hook)
    if not isinstance(show, functools.partial):
        warnings.showwarning = functools.partial(_show_others, show)
    try:
        yield
    except BaseException:
        # Reports of the writes that were under way when one failed are dropped from now on.
        logging.getLogger("asyncio").addFilter(_is_of_others)
        raise
    else:
        sys.unraisablehook, warnings.showwarning = hook, show
    finally:
        for logger in loggers:
            logger.removeFilter(_drop)


def _drop(record: logging.LogRecord) -> bool:
    return False


def _is_of_others(record: logging.LogRecord) -> bool:
    message = record.getMessage()
    known = "exception was never retrieved" in message or "Task was destroyed" in message
    return not (known and "orbax" in message)


def _report_others(hook: Any, report: Any) -> None:
    if not (report.exc_type is RuntimeError and str(report.exc_value) == "Event loop is closed"):
        hook(report)


def _show_others(
    show: Any, message: Warning | str, category: type[Warning], *where: Any, **further: Any
) -> None:
    unawaited = category is RuntimeWarning and "was never awaited" in str(message)
    if not unawaited:
        show(message, category, *where, **further)
