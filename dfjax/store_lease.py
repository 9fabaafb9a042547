"""The lock on a workdir in an object store, which has neither locks nor conditional writes.

It is a lease: the object `lock.json` names its owner, who writes it anew every `RENEW` seconds.
A lock that does not change for `EXPIRE` seconds has no living owner and is taken over. Only
durations on one machine are compared, so clocks need not agree. A lock is taken by writing it,
waiting for `SETTLE` seconds and reading it again: of several runs that write at the same time, the
last one has it. An owner that was cut off for longer than `EXPIRE` finds another one's lock and
stops before it writes again; one upload that was under way may still arrive.
"""

import json
import os
import socket
import threading
import time
import uuid
from typing import Any

from dfjax.console import say
from dfjax.errors import FileError, RunError, UsageError
from dfjax.files import is_running
from dfjax.json_files import parse_json

RENEW, EXPIRE, SETTLE, POLL = 20.0, 90.0, 2.0, 2.0  # seconds
NAME = "lock.json"
SCHEMA = {"token": str, "host": str, "process": int, "count": int}


class Lease:
    """The lock on the workdir at a URL.

    Args:
        url: URL of the workdir.
        refresh: Function that makes the client of the store forget what it knows of its content.
    """

    def __init__(self, url: str, refresh: Any) -> None:
        from etils import epath

        self.url, self.refresh = url, refresh
        self.path = epath.Path(url) / NAME
        self.token, self.count = uuid.uuid4().hex, 0
        self.renewed = time.monotonic()
        self.lost = ""
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._renew, daemon=True)

    def take(self) -> None:
        """Takes the lock, after waiting for the end of a lock that is not renewed.

        Raises:
            UsageError: Another run has the lock.
        """
        owner = self._read()
        if owner and not _has_ended(owner):
            self._wait(owner)
        self._write()
        time.sleep(SETTLE)
        if (self._read() or {}).get("token") != self.token:
            raise UsageError(f"{self.url} is being trained by another process, which was faster")
        self._thread.start()

    def _wait(self, owner: dict[str, Any]) -> None:
        say(
            f"{self.url} is locked by process {owner['process']} on {owner['host']}: waiting for "
            f"up to {EXPIRE:g} s, whether it still runs"
        )
        deadline = time.monotonic() + EXPIRE
        while time.monotonic() < deadline:
            time.sleep(POLL)
            now = self._read()
            if now is None:
                return
            if now != owner:
                raise UsageError(
                    f"{self.url} is being trained by process {now['process']} on {now['host']}"
                )

    def check(self) -> None:
        """Checks that this run still has the lock.

        Raises:
            RunError: Another run has taken it, or it could not be renewed for too long.
        """
        if not self.lost and time.monotonic() - self.renewed > EXPIRE:
            self.lost = f"its lock could not be renewed for {EXPIRE:g} s"
        if self.lost:
            raise RunError(f"nothing more is written to {self.url}: {self.lost}")

    def release(self) -> None:
        """Ends the renewal, and removes the lock if it is still this run's."""
        self._ended.set()
        if self._thread.is_alive():
            self._thread.join()
        if (self._read() or {}).get("token") == self.token:
            self.path.unlink(missing_ok=True)

    def _renew(self) -> None:
        while not self._ended.wait(RENEW):
            try:
                owner = self._read()
                if owner and owner["token"] != self.token:
                    self.lost = f"process {owner['process']} on {owner['host']} has taken over"
                    return
                self._write()
            except Exception as error:  # noqa: BLE001  # clients of stores raise any kind
                say(f"note: the lock of {self.url} was not renewed: {error}")

    def _write(self) -> None:
        self.count += 1
        owner = {"token": self.token, "host": socket.gethostname(), "process": os.getpid()}
        self.path.write_bytes(json.dumps(owner | {"count": self.count}).encode())
        self.renewed = time.monotonic()

    def _read(self) -> dict[str, Any] | None:
        self.refresh()
        try:
            text = self.path.read_bytes().decode(errors="replace")
            owner: dict[str, Any] = parse_json(text, SCHEMA, name=f"{self.url}/{NAME}")
        except (FileNotFoundError, FileError):  # one that is damaged is nobody's
            return None
        return owner


def _has_ended(owner: dict[str, Any]) -> bool:
    """Returns whether the owner of a lock was a process of this machine that has ended."""
    return owner["host"] == socket.gethostname() and not is_running(owner["process"])
