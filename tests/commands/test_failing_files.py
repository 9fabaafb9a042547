"""What the command line says of files that the system does not give or take."""

import errno
import os

import pytest

from dfjax.commands import doctor
from dfjax.commands.main import main
from dfjax.console import LONGEST_LINE, one_line
from dfjax.errors import is_full_disk


@pytest.mark.parametrize(
    ("number", "code", "message"),
    [
        (errno.ENOSPC, 1, "the disk is full"),
        (errno.EDQUOT, 1, "the disk is full"),
        (errno.EFBIG, 1, "the disk is full"),
        (errno.ENOENT, 1, "cannot use gone"),
        (errno.EIO, 1, "cannot use gone"),
        (errno.EROFS, 2, "cannot use gone"),
    ],
)
def test_a_failing_file_is_one_line(number, code, message, monkeypatch, capsys):
    def fail(arguments):
        raise OSError(number, os.strerror(number), "gone")

    monkeypatch.setattr(doctor, "run", fail)
    assert main(["doctor"]) == code
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1


def test_an_error_of_the_system_without_a_file_keeps_its_traceback(monkeypatch):
    def fail(arguments):
        raise OSError(errno.ENOENT, "nothing")

    monkeypatch.setattr(doctor, "run", fail)
    with pytest.raises(OSError, match="nothing"):
        main(["doctor"])


def test_a_full_disk_is_recognised_behind_another_error():
    try:
        try:
            raise RuntimeError("write() failed: No space left on device; writing x")
        except RuntimeError as error:
            raise ValueError("cannot save") from error
    except ValueError as error:
        assert is_full_disk(error)
    assert not is_full_disk(ValueError("cannot save"))


def test_a_line_that_quotes_a_whole_file_is_cut():
    assert one_line("\0" * 10_000).endswith("(40000 characters)")
    assert len(one_line("\0" * 10_000)) < LONGEST_LINE + 30
    assert one_line("a" * LONGEST_LINE) == "a" * LONGEST_LINE
