"""Runs the PyTorch equivalents (peers) of the workloads in processes of their own."""

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import dfjax
from dfjax.bench.rows import Cost
from dfjax.bench.workloads import BenchSettings
from dfjax.errors import UsageError

SCRIPT = Path(dfjax.__file__).parent.parent / "tests" / "peers" / "torch_peer.py"


class Peer:
    """A running peer, which executes one step per request.

    Raises:
        UsageError: The package is not a checkout, or the peer could not start.
    """

    def __init__(self, settings: BenchSettings, environment: Mapping[str, str]) -> None:
        """Starts the process and waits until its model is built.

        Args:
            settings: Workload and shapes.
            environment: Environment variables of the process.
        """
        if not SCRIPT.is_file():
            raise UsageError(
                "the PyTorch peer is tests/peers/torch_peer.py, which only a checkout of the "
                "repository has"
            )
        self._process = subprocess.Popen(
            [sys.executable, str(SCRIPT), json.dumps(settings._asdict())],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=dict(environment),
        )
        if self._read() != "ready":
            self.close()
            raise UsageError(
                "the PyTorch peer did not start; `pip install 'dfjax[parity]'` installs PyTorch"
            )

    def step(self) -> Cost:
        """Runs one step of the peer and returns its cost.

        Raises:
            UsageError: The process ended.
        """
        assert self._process.stdin is not None
        self._process.stdin.write("step\n")
        self._process.stdin.flush()
        answer = self._read()
        if not answer:
            raise UsageError("the PyTorch peer ended during a step")
        return Cost(*json.loads(answer))

    def close(self) -> None:
        """Ends the process."""
        self._process.terminate()
        self._process.wait()

    def _read(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()
