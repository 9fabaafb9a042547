"""The accelerators of a machine, and the extra that installs the JAX for them."""

import re
import shutil
import subprocess
from pathlib import Path
from typing import NamedTuple

NVIDIA_DRIVER = Path("/proc/driver/nvidia/version")
PCI_DEVICES = Path("/sys/bus/pci/devices")
GOOGLE = "0x1ae0"  # PCI vendor of TPUs, and of Google's network cards
TPUS = ("0x0027", "0x0056", "0x005e", "0x0062", "0x0063", "0x006f", "0x0076")
"""PCI devices that JAX takes for TPUs (v2 to v7x, `jax/_src/hardware_utils.py`)."""

CUDA = {"cuda13": (580, 7.5), "cuda12": (525, 5.2)}
"""Oldest driver and compute capability of each extra, from JAX's instructions for installing."""


class Accelerator(NamedTuple):
    """What a machine has, and the extra for it.

    Attributes:
        detail: Description of the accelerator.
        extra: Extra that fits: `cuda12`, `cuda13`, `tpu`, or None.
    """

    detail: str
    extra: str | None


def find_accelerator() -> Accelerator:
    """Returns the accelerator of this machine and the extra that fits it."""
    if chips := _count_tpus():
        return Accelerator(f"{chips} TPU chips", "tpu")
    version = NVIDIA_DRIVER.read_text() if NVIDIA_DRIVER.is_file() else ""
    if found := re.search(r"\s(\d+)(\.\d+)+\s", version):
        driver, capability = found[0].strip(), _read_capability()
        extra = choose_cuda(int(found[1]), capability)
        kind = f", compute capability {capability:g}" if capability else ""
        return Accelerator(f"NVIDIA driver {driver}{kind}", extra)
    return Accelerator("no NVIDIA driver, no TPU", None)


def choose_cuda(driver: int, capability: float | None) -> str | None:
    """Returns the extra for a driver and the oldest card of a machine, None if both are too old.

    Args:
        driver: Major version of the NVIDIA driver.
        capability: Lowest compute capability of the cards, None if it is not known.
    """
    for extra, (oldest_driver, oldest_card) in CUDA.items():
        if driver >= oldest_driver and (capability or oldest_card) >= oldest_card:
            return extra
    return None


def _count_tpus() -> int:
    if not PCI_DEVICES.is_dir():
        return 0
    found = 0
    for device in PCI_DEVICES.iterdir():
        vendor, kind = device / "vendor", device / "device"
        if vendor.is_file() and vendor.read_text().strip() == GOOGLE and kind.is_file():
            found += kind.read_text().strip() in TPUS
    return found


def _read_capability() -> float | None:
    """Returns the lowest compute capability that nvidia-smi lists, None if it does not run."""
    program = shutil.which("nvidia-smi")
    if program is None:
        return None
    query = [program, "--query-gpu=compute_cap", "--format=csv,noheader"]
    try:
        done = subprocess.run(query, capture_output=True, text=True, timeout=20, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return min(map(float, re.findall(r"^\d+\.\d+$", done.stdout, re.MULTILINE)), default=None)
