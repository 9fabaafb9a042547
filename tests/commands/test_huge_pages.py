import os
import subprocess
import sys

import pytest

from dfjax.commands.huge_pages import HUGE, TUNABLES, asks, plain_environment

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
def test_asked_for_only_where_it_helps(tmp_path, text, libc, wanted):
    setting = tmp_path / "enabled"
    setting.write_text(text)
    assert asks(setting, libc) == wanted
    assert not asks(tmp_path / "none", libc)


def test_starts_again_once_with_the_same_arguments_and_id(tmp_path):
    (tmp_path / "enabled").write_text(MADVISE)
    program = tmp_path / "program.py"
    program.write_text(
        "import os, pathlib, sys\n"
        "from dfjax.commands import huge_pages\n"
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


def test_the_peer_does_not_inherit_them(monkeypatch):
    monkeypatch.setenv(TUNABLES, HUGE)
    assert TUNABLES not in plain_environment()
    monkeypatch.setenv(TUNABLES, "glibc.malloc.check=3")
    assert plain_environment()[TUNABLES] == "glibc.malloc.check=3"
