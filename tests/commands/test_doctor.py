import json
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from dfjax.bench import environment as doctor_checks
from dfjax.bench.environment import Check
from dfjax.commands.main import main


def by_name(checks):
    return {check.name: check for check in checks}


def test_this_machine_passes_and_fits_one_screen(capsys):
    assert main(["doctor", "--json"]) == 0
    lines = capsys.readouterr().out.splitlines()
    report = json.loads(lines[-1])
    assert report["ok"] is True
    names = {check["name"] for check in report["checks"]}
    assert {"python", "dfjax", "jax", "flax", "h264", "jpeg", "haar", "disk", "memory"} <= names
    assert len(lines) <= 25 and max(map(len, lines[:-1])) <= 100
    assert "torch" not in names, "extras are not required"


def test_a_finding_is_1_and_comes_with_a_remedy(capsys, monkeypatch):
    bad = Check("codecs", "h264", False, "no encoder", "pip install av")
    monkeypatch.setattr(doctor_checks, "CHECKS", {"codecs": lambda: iter([bad])})
    assert main(["doctor"]) == 1
    out = capsys.readouterr().out
    assert "WRONG     h264: no encoder. Remedy: pip install av" in out
    assert "0 of 1 checks passed" in out


@pytest.mark.parametrize(
    ("requirement", "ok"),
    [("numpy>=1", True), ("numpy<1", False), ("no-such-package-here>=1", False)],
)
def test_versions_are_held_against_their_bounds(requirement, ok):
    check = doctor_checks._check_requirement(Requirement(requirement))
    assert check.ok is ok
    assert ok or check.remedy == f"pip install '{Requirement(requirement)}'"


def test_a_codec_that_fails_is_a_finding(monkeypatch):
    def broken():
        raise OSError("first line\nsecond line")

    monkeypatch.setattr(doctor_checks, "_probe_h264", broken)
    checks = by_name(doctor_checks.check_codecs())
    assert not checks["h264"].ok and checks["h264"].detail == "OSError: first line"
    assert checks["jpeg"].ok


def test_an_accelerator_that_jax_misses_is_a_finding(monkeypatch, tmp_path):
    device = tmp_path / "nvidia0"
    device.touch()
    monkeypatch.setattr(doctor_checks, "ACCELERATORS", {str(device): "cuda13"})
    assert all(check.ok for check in doctor_checks.check_devices()), "the CPU was asked for"
    monkeypatch.delenv("JAX_PLATFORMS")
    check = by_name(doctor_checks.check_devices())["cuda13"]
    assert not check.ok and check.remedy == "pip install -U 'dfjax[cuda13]'"


@pytest.mark.parametrize("limit", ["1000000000", "max"])
def test_memory_is_that_of_the_container(limit, monkeypatch, tmp_path):
    file = Path(tmp_path, "memory.max")
    file.write_text(f"{limit}\n")
    monkeypatch.setattr(doctor_checks, "CGROUP_LIMIT", file)
    memory = doctor_checks._memory_bytes()
    assert (memory == 10**9) == (limit != "max")
    memory_check = by_name(doctor_checks.check_resources())["memory"]
    assert memory_check.ok == (memory >= 4e9)
