"""The properties that hold whatever the input is: `Watch` runs a call and checks all of them.

No traceback; one line of message and the exit code of the contract; no socket, no foreign program,
no import that the input names; nothing changed outside the output folder; bounded memory; an end.
"""

import contextlib
import faulthandler
import hashlib
import io
import logging
import os
import re
import resource
import signal
import stat
import sys
import tempfile
import traceback
from pathlib import Path
from typing import NamedTuple

from dfjax.commands.main import main
from dfjax.errors import InputError, RunError, UsageError

SECONDS = 60  # a hang guard, not a measurement: cases take milliseconds
GROWTH = 600 * 2**20  # bytes of one case; inputs have kilobytes
LINE = 2000  # characters of a message
CANARY = "hostile_canary"
"""A module that inputs name and nobody may import, and a folder that nobody may open."""

_strange = []  # what an audit hook saw
_secret = []  # folders that nobody may open


class Hang(BaseException):
    """A case did not end in time. Not an `Exception`, which code under test might catch."""


class Outcome(NamedTuple):
    """What a command did."""

    code: int
    out: str
    err: str


def _audit(event, arguments):
    """Notes, and forbids, what no input may cause; an audit hook stays for the whole process."""
    if not _secret:
        return
    if event in ("socket.connect", "socket.getaddrinfo", "socket.gethostbyname", "os.system"):
        if event == "socket.connect" and isinstance(arguments[1], str | bytes):
            return  # a socket of the file system
    elif event == "import" and not arguments[0].startswith(CANARY):
        return
    elif event == "pickle.find_class":
        if arguments[0].split(".")[0] in ("dfjax", "numpy", "pathlib", "builtins", "collections"):
            return  # results of worker processes
    elif event == "open":
        name = arguments[0]
        if not isinstance(name, str | bytes) or not os.fsdecode(name).startswith(tuple(_secret)):
            return
    elif event not in ("import", "os.exec", "os.posix_spawn"):
        return
    _strange.append((event, str(arguments)[:200]))
    raise PermissionError(f"an input caused {event}")


sys.addaudithook(_audit)


class Watch:
    """Runs calls on the input in `place/in`, with `place/out` as the only folder to write to.

    Attributes:
        place: Folder of the case.
        case: Name of the case, for messages.
    """

    ERRORS = (UsageError, RunError, InputError)

    def __init__(self, place: Path, case: object = "") -> None:
        self.place, self.case = place, case
        self.inputs, self.out = place / "in", place / "out"
        for name in ("in", "cwd", "tmp", CANARY):
            (place / name).mkdir(exist_ok=True)
        (place / CANARY / f"{CANARY}.py").write_text("raise SystemExit('imported')\n")

    def run(
        self, *arguments: object, codes: tuple[int, ...] = (0, 1, 2), lines: bool = True
    ) -> Outcome:
        """Runs a command in this process and checks its exit code and, with `lines`, its lines."""
        streams, code = self._watched(lambda: main([str(a) for a in arguments]))
        outcome = Outcome(code, *streams)
        self.expect(code in codes, f"exit code {code}, not one of {codes}\n{outcome.err[-3000:]}")
        written = [line for line in outcome.err.split("\n") if line.strip()]
        if code == 2:
            messages = [line for line in written if not line.startswith(("note: ", "warning: "))]
            self.expect(
                len(messages) == 1 and messages[0].startswith("dfjax: "),
                f"exit code 2 has one line of message, not {len(messages)}:\n{outcome.err[-3000:]}",
            )
        for line in written if lines else ():
            self.expect_line(line)
        return outcome

    def call(self, function, *arguments, errors=ERRORS, **options):
        """Returns what a function returns, or the error it raises, one of those allowed."""

        def guarded():
            try:
                return function(*arguments, **options)
            except errors as error:
                return error

        streams, result = self._watched(guarded)
        if isinstance(result, BaseException):
            self.expect_line(str(result))
            self.expect(str(result).strip(), f"{type(result).__name__} without a message")
        return result

    def expect(self, condition: object, message: str) -> None:
        """Fails with the name of the case and how to repeat it."""
        seed = getattr(self.case, "seed", None)
        repeat = f"\nrepeat with DFJAX_HOSTILE_SEED={seed}" if seed else ""
        assert condition, f"{self.case}: {message}{repeat}"

    def expect_line(self, line: str) -> None:
        """Checks that a message is one line of a length to read, without control characters."""
        self.expect(len(line) <= LINE, f"a message of {len(line)} characters: {line[:200]}…")
        strange = re.findall(r"[\x00-\x08\x0a-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e]", line)
        self.expect(not strange, f"control characters {strange[:5]} in {line[:300]!r}")

    def _watched(self, function):
        before = snapshot(self.place, self.out)
        _strange.clear()
        _secret.append(str(self.place / CANARY))
        with (
            contextlib.chdir(self.place / "cwd"), _temporary(self.place / "tmp"),
            _logged() as records, _captured() as streams, _bounded(self),
        ):  # fmt: skip
            try:
                result = function()
            except Hang:
                result = AssertionError(f"no end within {SECONDS} s")
            except BaseException as error:  # noqa: BLE001
                trace = "".join(traceback.format_exception(error)[-6:])
                result = AssertionError(f"{type(error).__name__} escaped: {error}\n{trace}")
            finally:
                _secret.clear()
        text = str(result)
        failed = isinstance(result, AssertionError)
        self.expect(not failed, text if len(text) < 4000 else text[:1500] + " … " + text[-2400:])
        self.expect(not _strange, f"forbidden: {_strange}")
        self.expect(not records, f"logged a traceback: {records[:1]}")
        for text in streams:
            self.expect("Traceback (most recent" not in text, f"a traceback:\n{text[-3000:]}")
        changed = compare(before, snapshot(self.place, self.out))
        self.expect(not changed, f"changed outside of the output folder: {changed[:8]}")
        return streams, result


def snapshot(folder: Path, without: Path) -> dict[str, tuple]:
    """Every entry below a folder: kind, size, time of change, content; links are not followed."""
    found = {}
    for parent, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if Path(parent, name) != without]
        for name in [*folders, *files]:
            path = os.path.join(parent, name)
            status = os.lstat(path)
            content = None
            if stat.S_ISREG(status.st_mode) and os.access(path, os.R_OK):
                with open(path, "rb") as file:
                    content = hashlib.file_digest(file, "sha1").hexdigest()
            elif stat.S_ISLNK(status.st_mode):
                content = os.readlink(path)
            is_folder = stat.S_ISDIR(status.st_mode)
            found[path] = (status.st_mode, content, 0 if is_folder else status.st_mtime_ns)
    return found


def compare(before: dict[str, tuple], after: dict[str, tuple]) -> list[str]:
    """The paths that came, went or changed."""
    words = {True: "changed", False: "gone"}
    lines = [f"{words[k in after]} {k}" for k in before if before[k] != after.get(k)]
    return lines + [f"new {k}" for k in after if k not in before]


@contextlib.contextmanager
def _temporary(folder):
    """Temporary files go to a folder of the case, so that leftovers show."""
    before, tempfile.tempdir = tempfile.tempdir, str(folder)
    try:
        yield
    finally:
        tempfile.tempdir = before


@contextlib.contextmanager
def _logged():
    """Collects what libraries log with a traceback."""
    records = []

    class Handler(logging.Handler):
        def emit(self, record):
            if record.exc_info and record.exc_info[0]:
                records.append(record.getMessage())

    handler = Handler()
    logging.getLogger().addHandler(handler)
    try:
        yield records
    finally:
        logging.getLogger().removeHandler(handler)


@contextlib.contextmanager
def _captured():
    """Captures both outputs, also what libraries in C write; the yielded list is filled at exit."""
    texts = []
    with contextlib.ExitStack() as stack:
        files = [stack.enter_context(tempfile.TemporaryFile("w+b", dir="/tmp")) for _ in range(2)]
        saved = [os.dup(1), os.dup(2)]
        streams = [io.TextIOWrapper(f, "utf-8", "backslashreplace", newline="") for f in files]
        for number, file in enumerate(files, 1):
            os.dup2(file.fileno(), number)
        try:
            with contextlib.redirect_stdout(streams[0]), contextlib.redirect_stderr(streams[1]):
                yield texts
        finally:
            for number, (stream, old) in enumerate(zip(streams, saved), 1):
                stream.flush()
                os.dup2(old, number)
                os.close(old)
                stream.detach()
            for file in files:
                file.seek(0)
                texts.append(file.read().decode("utf-8", "backslashreplace"))


@contextlib.contextmanager
def _bounded(watch):
    """Ends a case that hangs, and fails one that takes much memory."""

    def stop(signum, frame):
        raise Hang

    previous = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, SECONDS)
    faulthandler.dump_traceback_later(3 * SECONDS, exit=True)  # a hang in C: the last resort
    before = _peak(reset=True)
    try:
        yield
        grown = _peak() - before
        watch.expect(grown < GROWTH, f"took {grown / 2**20:.0f} MB")
    finally:
        faulthandler.cancel_dump_traceback_later()
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, previous)


def _peak(*, reset=False):
    """The largest memory of this process in bytes; since the last reset, where that is allowed."""
    with contextlib.suppress(OSError):
        if reset:
            Path("/proc/self/clear_refs").write_text("5")
        status = Path("/proc/self/status").read_text()
        return 1024 * int(re.search(r"VmHWM:\s+(\d+)", status)[1])
    return 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
