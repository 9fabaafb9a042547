"""The whole corpus once more, from a seed that nobody has tried."""

import os
import secrets
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.slow
def test_a_fresh_seed():
    """Passes, or its output names the seed and the cases to repeat."""
    seed = secrets.token_hex(4)
    command = (sys.executable, "-m", "pytest", "-q", "-m", "not slow", str(Path(__file__).parent))
    done = subprocess.run(
        command, env=os.environ | {"DFJAX_HOSTILE_SEED": seed}, capture_output=True, text=True
    )
    print(f"DFJAX_HOSTILE_SEED={seed}")
    assert done.returncode == 0, f"DFJAX_HOSTILE_SEED={seed}\n{done.stdout[-6000:]}"
