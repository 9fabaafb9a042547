"""The whole corpus once more, from a seed that nobody has tried: `python -m pytest -m fresh`."""

import os
import secrets
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.fresh
def test_a_fresh_seed():
    """Passes, or its output names the seed and the cases to repeat."""
    seed = secrets.token_hex(4)
    here = Path(__file__).parent
    left_out = f"--ignore={here / 'test_hostile_kills.py'}"
    command = (sys.executable, "-m", "pytest", "-q", "-m", "not fresh", left_out, str(here))
    done = subprocess.run(
        command, env=os.environ | {"DFJAX_HOSTILE_SEED": seed}, capture_output=True, text=True
    )
    print(f"DFJAX_HOSTILE_SEED={seed}")
    assert done.returncode == 0, f"DFJAX_HOSTILE_SEED={seed}\n{done.stdout[-6000:]}"
