import os
import platform
import subprocess
import sys

import jax
import pytest

from dfjax.huge_pages import HUGE, TUNABLES, keep_memory, must_request, plain_environment

MADVISE, ALWAYS = "always [madvise] never", "[always] madvise never"


@pytest.mark.parametrize(
    "text,libc,wanted",
    [
        (MADVISE, ("glibc", "2.36"), True),
        (MADVISE, ("glibc", "2.34"), False),  # has no such tunable
        (MADVISE, ("", ""), False),
        (ALWAYS, ("glibc", "2.36"), False),  # there already
    ],
)
def test_requested_only_where_it_helps(tmp_path, text, libc, wanted):
    setting = tmp_path / "enabled"
    setting.write_text(text)
    assert must_request(setting, libc) == wanted
    assert not must_request(tmp_path / "none", libc)


def test_starts_again_once_with_the_same_arguments_and_id(tmp_path):
    (tmp_path / "enabled").write_text(MADVISE)
    program = tmp_path / "program.py"
    program.write_text(
        "import os, pathlib, sys\n"
        "from dfjax import huge_pages\n"
        "print(os.getpid(), os.environ.get('GLIBC_TUNABLES'), *sys.argv[1:], flush=True)\n"
        f"huge_pages.SETTING = pathlib.Path({str(tmp_path / 'enabled')!r})\n"
        "huge_pages.platform.libc_ver = lambda: ('glibc', '2.36')\n"
        "huge_pages.restart_with_huge_pages()\n"
    )
    environment = {key: value for key, value in os.environ.items() if key != TUNABLES}
    command = [sys.executable, str(program), "a b"]
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    first, second = done.stdout.splitlines()
    process = first.split()[0]
    assert first == f"{process} None a b"
    assert second == f"{process} {HUGE} a b"


def test_the_plain_environment_lacks_them_unless_they_are_the_users(monkeypatch):
    monkeypatch.setenv(TUNABLES, HUGE)
    assert TUNABLES not in plain_environment()
    monkeypatch.setenv(TUNABLES, "glibc.malloc.check=3")
    assert plain_environment()[TUNABLES] == "glibc.malloc.check=3"


@pytest.mark.parametrize("tunables,dispatched", [(HUGE, False), ("glibc.malloc.check=3", True)])
def test_steps_run_where_memory_is_kept(monkeypatch, tunables, dispatched):
    monkeypatch.setenv(TUNABLES, tunables)
    flags = {}
    monkeypatch.setattr(jax.config, "update", flags.__setitem__)
    keep_memory()
    assert flags.get("jax_cpu_enable_async_dispatch", True) == dispatched


def test_memory_once_taken_costs_no_page_again():
    program = (
        "import resource\n"
        "from dfjax.huge_pages import keep_memory\n"
        "keep_memory()\n"
        "import jax, jax.numpy as jnp\n"
        "step = jax.jit(lambda x: (x @ x.T).sum())\n"  # its temporary: 36 MB
        "x = jnp.ones((3000, 30))\n"
        "def faults():\n"
        "    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt\n"
        "    step(x).block_until_ready()\n"
        "    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before\n"
        # The least of eight: a thread that runs it for the first time has no memory yet.
        "print(min(faults() for _ in range(8)))\n"
    )
    small = "glibc.malloc.mmap_threshold=131072"  # glibc as it is: what is freed is gone
    kept, gone = (
        int(
            subprocess.check_output([sys.executable, "-c", program], env=os.environ | {TUNABLES: t})
        )
        for t in (HUGE, small)
    )
    if platform.libc_ver()[0] == "glibc":  # elsewhere nothing is asked for
        assert 2 * kept < gone
