"""Versions, devices, codecs, face detectors, memory and free disk, on one screen.

Every part is tested: a video is encoded and decoded, the model of a face detector is loaded.
Failed checks are listed with a remedy, and the exit code is then 1.

Example:
  dfjax doctor
  dfjax doctor --json | tail -n 1 | python -m json.tool
"""

from __future__ import annotations

import argparse
from dataclasses import asdict

from dfjax.bench.environment import CHECKS, describe_part
from dfjax.commands.main import add_json, finish


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of `dfjax doctor`."""
    add_json(parser)


def run(args: argparse.Namespace) -> int:
    """Prints every check and returns 1 if one of them failed, else 0."""
    checks = [check for look in CHECKS.values() for check in look()]
    findings = [check for check in checks if not check.ok]
    for part in CHECKS:
        print(describe_part(part, [check for check in checks if check.part == part and check.ok]))
    for check in findings:
        print(f"WRONG     {check.name}: {check.detail}. Remedy: {check.remedy}")
    print(f"{len(checks) - len(findings)} of {len(checks)} checks passed")
    listed = [asdict(check) for check in checks]
    return finish(args, {"ok": not findings, "checks": listed}, found=findings)
