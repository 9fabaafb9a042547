"""The PyTorch peer of `dfjax bench`: a process of its own that runs one step when told to."""

import json
import subprocess
import sys
from pathlib import Path

import dfjax
from dfjax.bench.workloads import Settings
from dfjax.errors import UsageError
from dfjax.huge_pages import plain_environment

SCRIPT = Path(dfjax.__file__).parent.parent / "tests" / "peers" / "torch_peer.py"


class Peer:
    """A running peer.

    Raises:
        UsageError: this is no checkout, or the peer could not start (PyTorch is missing).
    """

    def __init__(self, settings: Settings) -> None:
        """Starts the process and waits until its model is built."""
        if not SCRIPT.is_file():
            raise UsageError("--compare torch needs a checkout of the repository: tests/peers/")
        self._process = subprocess.Popen(
            [sys.executable, str(SCRIPT), json.dumps(settings._asdict())],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=plain_environment(),  # torch as it is started by itself
        )
        if self._read() != "ready":
            self.close()
            raise UsageError(
                "the torch peer did not start; install the extra: pip install .[parity]"
            )

    def step(self) -> float:
        """Runs one step of the peer and returns its seconds."""
        assert self._process.stdin is not None
        self._process.stdin.write("step\n")
        self._process.stdin.flush()
        answer = self._read()
        if not answer:
            raise UsageError("the torch peer stopped in the middle of the run")
        return float(answer)

    def close(self) -> None:
        """Ends the process."""
        self._process.terminate()
        self._process.wait()

    def _read(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()
