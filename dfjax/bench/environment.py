"""Checks of the machine: versions, devices, codecs, face detectors, memory and disk."""

from __future__ import annotations

import importlib.metadata
import io
import os
import platform
import re
import shutil
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement

import dfjax
from dfjax.bench.accelerators import CUDA, find_accelerator
from dfjax.results import Result

MIN_DISK_GB = 2.0  # the demo's data, checkpoints and compilation cache
MIN_MEMORY_GB = 4.0  # compiling the demo's step, and its data
CGROUP_LIMIT = Path("/sys/fs/cgroup/memory.max")
CPU_INFO = Path("/proc/cpuinfo")
JAX_PLATFORM = {"cuda12": "gpu", "cuda13": "gpu", "tpu": "tpu"}
"""What JAX calls the devices for which an extra is."""


@dataclass(frozen=True)
class Check:
    """Result of one check.

    Attributes:
        part: Part of the machine, a name in `CHECKS`.
        name: Name of the checked item.
        ok: Whether the item can be used.
        detail: Description of the result.
        remedy: Advice for an item that cannot be used.
    """

    part: str
    name: str
    ok: bool
    detail: str
    remedy: str = ""


@dataclass(frozen=True)
class MachineChecks(Result):
    """Results of all checks of a machine.

    Attributes:
        checks: Results, by part of the machine in the order of `CHECKS`.
    """

    checks: list[Check]

    @property
    def findings(self) -> list[Check]:
        """Checks that failed."""
        return [check for check in self.checks if not check.ok]

    @property
    def has_findings(self) -> bool:
        """Whether a check failed."""
        return bool(self.findings)

    def describe(self) -> list[str]:
        """Returns the lines of every part, and one for each check that failed."""
        passed = [check for check in self.checks if check.ok]
        lines = []
        for part in CHECKS:
            lines += describe_part(part, [check for check in passed if check.part == part])
        for check in self.findings:
            lines.append(f"WRONG     {check.name}: {check.detail}. Remedy: {check.remedy}")
        return [*lines, f"{len(passed)} of {len(self.checks)} checks passed"]

    def to_json(self) -> dict[str, Any]:
        """Returns the checks as `dfjax doctor --json` prints them."""
        return {"ok": not self.findings, "checks": [asdict(check) for check in self.checks]}


def check_machine() -> MachineChecks:
    """Returns the results of all checks."""
    return MachineChecks([check for look in CHECKS.values() for check in look()])


def check_versions() -> Iterator[Check]:
    """Yields the version of Python and of every dependency, compared with its bounds."""
    version = platform.python_version()
    yield Check("versions", "python", sys.version_info >= (3, 11), version, "install Python 3.11+")
    yield Check("versions", "dfjax", True, dfjax.__version__)
    for text in importlib.metadata.requires("dfjax") or ():
        requirement = Requirement(text)
        if requirement.marker is None:  # the others belong to extras
            yield _check_requirement(requirement)


def _check_requirement(requirement: Requirement) -> Check:
    remedy = f"pip install '{requirement}'"
    try:
        version = importlib.metadata.version(requirement.name)
    except importlib.metadata.PackageNotFoundError:
        return Check("versions", requirement.name, False, "not installed", remedy)
    ok = requirement.specifier.contains(version, prereleases=True)
    detail = version if ok else f"{version}, outside {requirement.specifier}"
    return Check("versions", requirement.name, ok, detail, remedy)


def check_devices() -> Iterator[Check]:
    """Yields the devices that JAX found, and the extra that fits the accelerator of the machine."""
    try:
        import jax

        devices = jax.devices()
    except (ImportError, RuntimeError) as error:
        remedy = "set JAX_PLATFORMS=cpu to run on the CPU, or install again: `pip install -U jax`"
        yield Check("devices", "jax", False, _first_line(error), remedy)
        yield from check_extra([])
        return
    platforms = sorted({device.platform for device in devices})
    kinds = ", ".join(sorted({device.device_kind for device in devices}))
    yield Check("devices", "jax", True, f"{len(devices)} × {'/'.join(platforms)} ({kinds})")
    yield from check_extra(platforms)


def check_extra(platforms: list[str]) -> Iterator[Check]:
    """Yields which extra fits the accelerator of the machine, and whether JAX uses it.

    Args:
        platforms: Platforms of the devices that JAX found.
    """
    detail, extra = find_accelerator()
    chosen = os.environ.get("JAX_PLATFORMS", "").startswith("cpu")
    if extra is None:
        too_old = detail.startswith("NVIDIA")
        drivers = ", ".join(f"{name} needs driver {CUDA[name][0]}" for name in CUDA)
        remedy = f"update the driver ({drivers}), or set JAX_PLATFORMS=cpu"
        yield Check("devices", "extra", chosen or not too_old, f"none fits: {detail}", remedy)
    else:
        found = chosen or JAX_PLATFORM[extra] in platforms
        detail = f"{extra} fits: {detail}" + ("" if found else ", which JAX does not use")
        yield Check("devices", "extra", found, detail, f"pip install -U 'dfjax[{extra}]'")


def check_codecs() -> Iterator[Check]:
    """Yields whether H.264 and JPEG can be written and read again."""
    probes: dict[str, tuple[Callable[[], str], str]] = {
        "h264": (_probe_h264, "pip install --force-reinstall av"),
        "jpeg": (_probe_jpeg, "pip install --force-reinstall opencv-python"),
    }
    for name, (probe, remedy) in probes.items():
        try:
            yield Check("codecs", name, True, probe())
        except (ImportError, OSError, ValueError, RuntimeError) as error:
            yield Check("codecs", name, False, _first_line(error), remedy)


def _probe_h264() -> str:
    import av
    import numpy as np

    file = io.BytesIO()
    with av.open(file, "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for level in (40, 200):
            pixels = np.full((48, 64, 3), level, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(stream.encode())
    file.seek(0)
    with av.open(file, "r") as container:
        levels = [frame.to_ndarray(format="rgb24").mean() for frame in container.decode(video=0)]
    if not np.allclose(levels, (40, 200), atol=4):
        raise ValueError(f"two grey frames came back as {levels}")
    return f"written and read by PyAV {av.__version__}"


def _probe_jpeg() -> str:
    import cv2
    import numpy as np

    pixels = np.full((48, 64, 3), 90, np.uint8)
    encoded = cv2.imencode(".jpg", pixels)[1]
    decoded = cv2.imdecode(encoded, cv2.IMREAD_COLOR)
    if decoded is None or not np.allclose(decoded, pixels, atol=4):
        raise ValueError("a grey image came back changed")
    return f"written and read by OpenCV {cv2.__version__}"


def check_detectors() -> Iterator[Check]:
    """Yields the face detectors that extraction can use on this machine."""
    try:
        from dfjax.data.faces.detectors.availability import GET, check_detector
    except ImportError as error:
        remedy = "on Debian: apt-get install libgl1 libglib2.0-0"
        yield Check("detectors", "opencv", False, _first_line(error), remedy)
        return
    for name, how in GET.items():
        found = check_detector(name)
        optional = found.absent and name != "haar"
        detail = "ready" if found.ready else f"not there: {how}" if optional else found.reason
        yield Check("detectors", name, found.ready or optional, detail, how)


def check_resources() -> Iterator[Check]:
    """Yields processors, memory (of the container, where that is less) and free disk, in GB."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    yield Check("resources", "cores", True, str(cores))
    memory = _memory_bytes() / 1e9
    remedy = "use a smaller train.batch_size; compiling alone takes up to 2 GB"
    yield Check("resources", "memory", memory >= MIN_MEMORY_GB, f"{memory:.1f} GB", remedy)
    free = shutil.disk_usage(".").free / 1e9
    remedy = f"free some space: a run needs {MIN_DISK_GB:g} GB or more"
    yield Check("resources", "disk", free >= MIN_DISK_GB, f"{free:.1f} GB free here", remedy)


def name_processor() -> str:
    """Returns the name of the processor's model, or of its architecture where none is known."""
    lines = CPU_INFO.read_text().splitlines() if CPU_INFO.is_file() else []
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(named, "") or platform.processor() or platform.machine()


def describe_part(part: str, checks: Iterable[Check]) -> list[str]:
    """Returns the passed checks of a part of the machine, as lines of at most 80 columns.

    Args:
        part: Name in `CHECKS`.
        checks: Checks of the part.
    """
    lines = [""]
    for check in checks:
        text = f"{check.name} {check.detail}"
        if lines[-1] and len(lines[-1]) + len(text) > 66:
            lines.append("")
        lines[-1] += f" · {text}" if lines[-1] else text
    return [f"{head:<9} {line}" for head, line in zip([part, *[""] * len(lines)], lines)]


def _memory_bytes() -> int:
    physical = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    limit = CGROUP_LIMIT.read_text().strip() if CGROUP_LIMIT.exists() else ""
    return min(physical, int(limit)) if re.fullmatch(r"\d+", limit) else physical


def _first_line(error: Exception) -> str:
    return f"{type(error).__name__}: {error}".splitlines()[0]


CHECKS: dict[str, Callable[[], Iterator[Check]]] = {
    "versions": check_versions,
    "devices": check_devices,
    "codecs": check_codecs,
    "detectors": check_detectors,
    "resources": check_resources,
}
