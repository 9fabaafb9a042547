"""The cores that other programs use while something is measured."""

import os
import types

import pytest

from dfjax.bench import other_load
from dfjax.bench.other_load import OtherLoad


def test_own_time_and_idle_time_are_left_out(monkeypatch, tmp_path):
    ticks = os.sysconf("SC_CLK_TCK")
    stat = tmp_path / "stat"
    monkeypatch.setattr(other_load, "STAT", stat)
    clock, own = [100.0], [4.0]

    def write(**seconds):
        names = ("user", "nice", "system", "idle", "iowait", "irq", "softirq", "steal", "guest")
        counts = (seconds.get(name, 0) * ticks for name in names)
        stat.write_text("cpu  " + " ".join(map(str, counts)) + "\ncpu0 1 2 3\n")

    monkeypatch.setattr(other_load, "time", types.SimpleNamespace(monotonic=lambda: clock[0]))
    used = lambda who: types.SimpleNamespace(ru_utime=own[0] / 2, ru_stime=0.0)  # noqa: E731
    fake = types.SimpleNamespace(getrusage=used, RUSAGE_SELF=0, RUSAGE_CHILDREN=1)
    monkeypatch.setattr(other_load, "resource", fake)
    write(user=10, idle=50, guest=7)
    meter = OtherLoad()
    clock[0], own[0] = 110.0, 12.0
    write(user=20, system=4, idle=60, iowait=30, steal=3, guest=9)  # 17 s busy, 8 of them our own
    assert meter.cores() == pytest.approx(0.9)
    own[0] = 40.0  # the clocks differ a little: never below zero
    assert meter.cores() == 0.0
    stat.unlink()
    assert meter.cores() is None and OtherLoad().cores() is None
