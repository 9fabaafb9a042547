"""Runs commands in processes that may be killed, or may not write much, at a chosen moment.

As a program it imports everything once and forks a process per command, which then starts at once:
`Server` in the tests sends a line of JSON per command. A moment is a number of changes to files
below a folder, counted by an audit hook and so the same in every run, or a time in seconds.
"""

import contextlib
import errno
import json
import os
import resource
import select
import shutil
import signal
import subprocess
import sys
import time
import traceback
from pathlib import Path
from typing import NamedTuple

LIMIT = 1000  # seconds after which a command hangs and is killed, also on a machine under load
CHANGES = ("os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.link", "os.symlink", "os.truncate")
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT


class Ended(NamedTuple):
    """How a command ended: exit code, or minus the signal; what it wrote; who is still there."""

    code: int
    text: str
    changes: int
    seconds: float
    left: list[int]


class Server:
    """The tests' end of the program."""

    def __init__(self, **environment):
        """Starts the program.

        Args:
            **environment: Further environment variables of the commands.
        """
        plain = {"XLA_FLAGS": "", "JAX_PLATFORMS": "cpu"}
        self.process = subprocess.Popen(
            [sys.executable, __file__],
            env=os.environ | plain | environment,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip

    def run(
        self, *arguments, place, kill_at=None, kill_after=None, most_bytes=None, fault=None,
        start=1,
    ):  # fmt: skip
        """Runs a command; see `Ended`.

        Args:
            arguments: Arguments of `dfjax`.
            place: Folder whose changes count.
            kill_at: Number of the change before which the process is killed.
            kill_after: Seconds after which it is killed.
            most_bytes: Largest file that it may write; the system refuses to write more.
            fault: `full` or `read_only`: how Python's changes fail; `vanish`: the folder is gone.
            start: Number of the change from which the fault is there.
        """
        request = {
            "arguments": [str(a) for a in arguments], "place": str(place), "kill_at": kill_at,
            "kill_after": kill_after, "most_bytes": most_bytes, "fault": fault, "start": start,
        }  # fmt: skip
        self.process.stdin.write(json.dumps(request) + "\n")
        self.process.stdin.flush()
        return Ended(*json.loads(self.process.stdout.readline()))

    def close(self):
        self.process.stdin.close()
        self.process.wait(timeout=30)


def serve():
    """Answers requests until standard input ends."""
    from dfjax.commands import data_extract, data_pack, data_prepare, main, train  # noqa: F401
    from dfjax.data.faces import extract_index  # noqa: F401
    from dfjax.data.store import pack  # noqa: F401
    from dfjax.experiment import prepare  # noqa: F401
    from dfjax.experiment import train as training  # noqa: F401

    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    for line in sys.stdin:
        answers.write(json.dumps(_run(json.loads(line))) + "\n")
        answers.flush()


def _run(request):
    reader, writer = os.pipe()
    counts, count = os.pipe()
    start = time.monotonic()
    pid = os.fork()
    if not pid:
        os.close(reader)
        _become(request, writer, count)
    os.close(writer)
    os.close(count)
    text, code = b"", None
    while True:
        if select.select([reader], [], [], 0.01)[0]:
            text += os.read(reader, 65536)
        due = request["kill_after"] is not None and time.monotonic() - start > request["kill_after"]
        if due or time.monotonic() - start > LIMIT:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            code = os.waitstatus_to_exitcode(status)
            break
    seconds = time.monotonic() - start
    left = _wait_for_group(pid)
    os.set_blocking(reader, False)
    with contextlib.suppress(BlockingIOError):
        while more := os.read(reader, 65536):
            text += more
    changes = int(os.read(counts, 20) or 0)
    os.close(reader)
    os.close(counts)
    return code, text.decode(errors="backslashreplace"), changes, seconds, left


def _wait_for_group(group):
    """Waits for the processes that a command started; kills and returns those that stay."""
    deadline = time.monotonic() + 60
    while (left := _members(group)) and time.monotonic() < deadline:
        time.sleep(0.02)
    for pid in left:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    return left


def _members(group):
    """Processes of a session that are not dead."""
    found = []
    for folder in Path("/proc").iterdir():
        with contextlib.suppress(OSError, ValueError):
            state, _, _, session = (folder / "stat").read_text().rpartition(")")[2].split()[:4]
            if folder.name.isdigit() and int(session) == group and state != "Z":
                found.append(int(folder.name))
    return found


def _become(request, writer, count):
    """The rest of a forked process's life: one command."""
    code = 70
    try:
        os.setsid()
        for descriptor in (1, 2):
            os.dup2(writer, descriptor)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        changes = _watch_changes(request)
        if request["most_bytes"] is not None:
            hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
            resource.setrlimit(resource.RLIMIT_FSIZE, (request["most_bytes"], hard))
        from dfjax.commands.main import main

        code = main(request["arguments"])
        os.write(count, str(len(changes)).encode())
    except BaseException:  # noqa: BLE001
        traceback.print_exc()
    finally:
        with contextlib.suppress(BaseException):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)


def _watch_changes(request):
    """Notes every change to a file below a folder, and does at one of them what is asked for."""
    changes, place = [], request["place"]

    def hook(event, arguments):
        opens = event == "open" and isinstance(arguments[2], int) and arguments[2] & WRITING
        if not opens and event not in CHANGES:
            return
        path = arguments[0]
        if not isinstance(path, str | bytes) or not os.fsdecode(path).startswith(place):
            return
        changes.append(event)
        if len(changes) == request["kill_at"]:
            os.kill(os.getpid(), signal.SIGKILL)
        if request["fault"] and len(changes) >= request["start"]:
            _fail(request["fault"], event, path, first=len(changes) == request["start"])

    def _fail(fault, event, path, *, first):
        if fault == "vanish" and first:
            for folder in Path(place).iterdir():
                shutil.rmtree(folder, ignore_errors=True)
        elif fault == "full" and event in ("open", "os.mkdir"):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), path)
        elif fault == "read_only":
            raise OSError(errno.EROFS, os.strerror(errno.EROFS), path)

    sys.addaudithook(hook)
    return changes


if __name__ == "__main__":
    serve()
