"""Starts the processes of one run on this machine, and waits for them."""

import os
import socket
import subprocess
import sys

LIMIT = 600  # seconds


def start_processes(count, devices, *command, **variables):
    """Starts a command of Python in several processes that find each other.

    Args:
        count: Number of processes.
        devices: Number of virtual devices of each.
        command: Arguments of the interpreter.
        variables: Further variables of the environment.

    Returns:
        The processes, in the order of their numbers.
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    flags = f"--xla_force_host_platform_device_count={devices}"
    shared = os.environ | {"JAX_PLATFORMS": "cpu", "XLA_FLAGS": flags} | variables
    found = []
    for number in range(count):
        own = {
            "DFJAX_COORDINATOR": f"127.0.0.1:{port}",
            "DFJAX_NUM_PROCESSES": str(count),
            "DFJAX_PROCESS_ID": str(number),
        }
        env = shared | (own if count > 1 else {})
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        found.append(subprocess.Popen([sys.executable, *map(str, command)], env=env, **pipes))
    return found


def finish(processes):
    """Waits for the processes, and returns the exit code, the output and the errors of each."""
    results = []
    for process in processes:
        out, err = process.communicate(timeout=LIMIT)
        results.append((process.returncode, out, err))
    return results
