"""The environment of every test: eight virtual CPU devices, shapes and types checked, no network.

It has to stand before the first import of JAX, hence at the top of this file and not in a fixture.
"""

import importlib.util
import os
import tempfile
from pathlib import Path

os.environ["JAX_PLATFORMS"] = "cpu"
os.environ["XLA_FLAGS"] = "--xla_force_host_platform_device_count=8"
os.environ["KERAS_BACKEND"] = "jax"
os.environ["MPLBACKEND"] = "Agg"
# Compiled programs are shared by the test processes and by the next run on this machine.
os.environ.setdefault(
    "JAX_COMPILATION_CACHE_DIR", str(Path(tempfile.gettempdir()) / f"dfjax-tests-{os.getuid()}")
)
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0.5")

import jaxtyping
import pytest

# Shapes and types of public signatures hold, whatever a test calls.
jaxtyping.install_import_hook("dfjax", "beartype.beartype")

ROOT = Path(__file__).resolve().parent.parent
SAMPLES = os.environ.get("DFJAX_SAMPLES") or str(ROOT.parent / "shared" / "samples")

# These import the independent implementations at their top.
collect_ignore = (
    [] if all(map(importlib.util.find_spec, ("keras", "torch"))) else ["parity", "peers"]
)


def pytest_collection_modifyitems(config, items):
    """Deselects the tests of the real videos where there are none, and says so in the count."""
    # The longest file first: at the end one process would be alone with it.
    items.sort(key=lambda item: item.path.name != "test_configs.py")
    if Path(SAMPLES, "ffpp").is_dir():
        return
    absent = [item for item in items if item.get_closest_marker("samples")]
    items[:] = [item for item in items if item not in absent]
    config.hook.pytest_deselected(items=absent)


@pytest.fixture(scope="session")
def root():
    """The checkout."""
    return ROOT


@pytest.fixture(scope="session")
def samples():
    """The folder that holds `ffpp/`: seven real videos of FaceForensics++."""
    return Path(SAMPLES)
