"""The environment of every test: eight virtual CPU devices, shapes and types checked, no network.

It has to stand before the first import of JAX, hence at the top of this file and not in a fixture.
"""

import contextlib
import ctypes
import gc
import importlib.util
import os
import resource
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

import jax
import jaxtyping
import pytest

# Shapes and types of public signatures hold, whatever a test calls.
jaxtyping.install_import_hook("dfjax", "beartype.beartype")

MANY_BYTES = 1_000_000_000  # of a process after a file

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


PEAKS = []  # bytes of the largest process of each worker


def pytest_sessionfinish(session):
    """Notes the peak memory of this process and of those that its tests started."""
    kinds = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    peak = 1024 * max(resource.getrusage(kind).ru_maxrss for kind in kinds)
    getattr(session.config, "workeroutput", {})["peak"] = peak
    PEAKS.append(peak)


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node):
    """Takes over the peak memory of a worker."""
    PEAKS.append(getattr(node, "workeroutput", {}).get("peak", 0))


def pytest_terminal_summary(terminalreporter):
    """Prints the peak memory of the largest process, which must stay below 3 GB."""
    terminalreporter.write_line(f"largest process: {max(PEAKS) / 1e9:.2f} GB")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport():
    """Counts a skipped test as failed: what cannot run somewhere carries a marker instead."""
    report = yield
    if report.skipped:
        report.outcome = "failed"
    return report


@pytest.fixture(scope="module", autouse=True)
def release_memory():
    """Drops compiled programs after a file once the process holds much memory.

    Without this the processes of the whole suite grow to 5 GB. Dropping them after every file would
    compile the small programs of array operations anew each time.
    """
    yield
    if resident_bytes() > MANY_BYTES:
        jax.clear_caches()
        gc.collect()
        with contextlib.suppress(OSError, AttributeError):  # a libc other than glibc
            ctypes.CDLL("libc.so.6").malloc_trim(0)


def resident_bytes():
    """The memory that this process holds; 0 where the system has no `/proc`."""
    statm = Path("/proc/self/statm")
    return int(statm.read_text().split()[1]) * resource.getpagesize() if statm.exists() else 0


@pytest.fixture(scope="session")
def root():
    """The checkout."""
    return ROOT


@pytest.fixture(scope="session")
def samples():
    """The folder that holds `ffpp/`: seven real videos of FaceForensics++."""
    return Path(SAMPLES)
