"""What Orbax reports of an error that reaches the caller anyway is not shown."""

import contextlib
import gc
import logging
import warnings

import pytest

from dfjax.training.orbax_reports import quiet_orbax


async def write() -> None:
    """Does nothing; stands for a write of Orbax."""


def drop_unawaited() -> None:
    """Deletes a coroutine that never ran, of which Python warns."""
    write()
    gc.collect()


@pytest.fixture(autouse=True)
def restored(monkeypatch):
    """Collects what other tests dropped, and restores what a failed block leaves behind."""
    gc.collect()
    monkeypatch.setattr("sys.unraisablehook", lambda report: None)
    logger = logging.getLogger("asyncio")
    filters = list(logger.filters)
    yield
    logger.filters[:] = filters


def test_writes_that_never_began_are_not_shown_during_and_after_a_failure():
    with warnings.catch_warnings(record=True) as shown:
        warnings.simplefilter("always")
        with contextlib.suppress(OSError), quiet_orbax():
            drop_unawaited()
            raise OSError
        drop_unawaited()
        warnings.warn("another one", RuntimeWarning, stacklevel=1)
    # Objects of other tests that are collected meanwhile may give warnings of other classes.
    found = [str(each.message) for each in shown if each.category is RuntimeWarning]
    assert found == ["another one"]


def test_after_a_block_without_an_error_everything_is_shown_again():
    with warnings.catch_warnings(record=True) as shown:
        warnings.simplefilter("always")
        with quiet_orbax():
            warnings.warn("within", UserWarning, stacklevel=1)
        drop_unawaited()
    kinds = (UserWarning, RuntimeWarning)
    assert tuple(each.category for each in shown if each.category in kinds) == kinds


def test_pending_tasks_of_orbax_are_not_logged_after_a_failure(caplog):
    with contextlib.suppress(OSError), quiet_orbax():
        raise OSError
    logger = logging.getLogger("asyncio")
    logger.error("Task was destroyed but it is pending! <Task of orbax/checkpoint>")
    logger.error("Task was destroyed but it is pending! <Task of the user>")
    assert [record.message[-8:-1] for record in caplog.records] == ["he user"]
