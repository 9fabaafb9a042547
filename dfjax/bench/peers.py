"""Runs the PyTorch equivalents (peers) of the workloads in processes of their own."""

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import dfjax
from dfjax.bench.rows import Cost
from dfjax.bench.workloads import BenchSettings
from dfjax.errors import UsageError

SCRIPT = Path(dfjax.__file__).parent.parent / "tests" / "peers" / "torch_peer.py"


class PeerOptions(NamedTuple):
    """How a peer runs.

    Attributes:
        environment: Environment variables of its process.
        device: `cpu` or `cuda`.
        compiled: Whether the model goes through `torch.compile`.
    """

    environment: Mapping[str, str]
    device: str = "cpu"
    compiled: bool = False


class Peer:
    """A running peer, which executes one step per request.

    Raises:
        UsageError: The package is not a checkout, or the peer could not start.
    """

    def __init__(self, settings: BenchSettings, options: PeerOptions) -> None:
        """Starts the process and waits until its model is built.

        Args:
            settings: Workload and shapes.
            options: Environment, device and compilation of the process.
        """
        if not SCRIPT.is_file():
            raise UsageError(
                "the PyTorch peer is tests/peers/torch_peer.py, which only a checkout of the "
                "repository has"
            )
        run = settings._asdict() | {"device": options.device, "compile": options.compiled}
        self._process = subprocess.Popen(
            [sys.executable, str(SCRIPT), json.dumps(run)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=dict(options.environment),
        )
        if self._read() != "ready":
            self.close()
            raise UsageError(
                "the PyTorch peer did not start; `pip install 'dfjax[parity]'` installs PyTorch"
            )

    def run(self, count: int) -> Cost:
        """Runs steps of the peer one after the other and returns the cost of all of them.

        Args:
            count: Number of steps.

        Raises:
            UsageError: The process ended.
        """
        return Cost(*self._ask(str(count)))

    def peak_bytes(self) -> int:
        """Returns the largest number of bytes of the GPU in use at once since the first `run`."""
        return self._ask("peak")

    def _ask(self, request: str) -> Any:
        assert self._process.stdin is not None
        self._process.stdin.write(f"{request}\n")
        self._process.stdin.flush()
        answer = self._read()
        if not answer:
            raise UsageError("the PyTorch peer ended during a step")
        return json.loads(answer)

    def close(self) -> None:
        """Ends the process."""
        self._process.terminate()
        self._process.wait()

    def _read(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()
