"""Tests that presets of XLA flags add flags that the compilers know and that are no defaults."""

import os
import subprocess
import sys

import pytest

from dfjax.commands.main import main
from dfjax.errors import UsageError
from dfjax.xla_presets import PRESETS, use_xla_preset

OPTIONS = """
import os, sys
from jax._src.lib import xla_client
for flag in ["", *sys.argv[1:]]:
    if os.fork() == 0:  # XLA reads its flags once per process
        os.environ["XLA_FLAGS"] = flag
        print(xla_client.CompileOptions().SerializeAsString().hex(), flush=True)
        os._exit(0)
    if os.wait()[1]:
        print("unknown", flush=True)
"""
SUMS = """
import sys
import jax, jax.numpy as jnp, numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec as P
from dfjax.bench.tpu_compiler import describe_chips
mesh = Mesh(np.array(describe_chips(sys.argv[1])), ("data",))
def shape(*sizes, spec=P()):
    return jax.ShapeDtypeStruct(sizes, jnp.float32, sharding=NamedSharding(mesh, spec))
def loss(weights, x):
    for w in weights:
        x = jnp.tanh(x @ w)
    return (x**2).mean()
step = jax.jit(jax.grad(loss)).lower([shape(512, 512)] * 2, shape(256, 512, spec=P("data")))
print(step.compile().as_text())
"""


def run_python(code, *arguments, **variables):
    """Returns what a new process prints, None if it fails."""
    environ = {name: value for name, value in os.environ.items() if name != "XLA_FLAGS"}
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        env=environ | variables,
        capture_output=True,
        text=True,
    )
    return done.stdout if done.returncode == 0 else None


def test_no_preset_changes_nothing():
    for environ in ({}, {"DFJAX_XLA_PRESET": ""}, {"XLA_FLAGS": "--a=b"}):
        before = dict(environ)
        use_xla_preset(environ)
        assert environ == before


def test_flags_that_are_set_stay():
    name = "xla_gpu_enable_latency_hiding_scheduler"
    environ = {"DFJAX_XLA_PRESET": "gpu", "XLA_FLAGS": f"--xla_dump_to=a --{name}=false"}
    use_xla_preset(environ)
    first, second, *rest = environ["XLA_FLAGS"].split()
    assert (first, second) == ("--xla_dump_to=a", f"--{name}=false")
    others = {flag: value for flag, value in PRESETS["gpu"].flags.items() if flag != name}
    assert rest == [f"--{flag}={value}" for flag, value in others.items()]
    once = dict(environ)
    use_xla_preset(environ)  # as in a process that restarts itself
    assert environ == once


def test_tpu_flags_are_not_read_by_jaxlib_which_would_abort():
    environ = {"DFJAX_XLA_PRESET": "tpu"}
    use_xla_preset(environ)
    assert "XLA_FLAGS" not in environ
    assert environ["LIBTPU_INIT_ARGS"].startswith("--xla_")


def test_an_unknown_preset_is_wrong_usage(monkeypatch, capsys):
    with pytest.raises(UsageError, match="Valid: gpu, tpu"):
        use_xla_preset({"DFJAX_XLA_PRESET": "cpu"})
    monkeypatch.setenv("DFJAX_XLA_PRESET", "gup")
    assert main(["models"]) == 2
    assert "unknown DFJAX_XLA_PRESET 'gup'. Did you mean 'gpu'?" in capsys.readouterr().err


def test_jaxlib_knows_each_gpu_flag_and_its_value_is_no_default():
    flags = [f"--{name}={value}" for name, value in PRESETS["gpu"].flags.items()]
    lines = run_python(OPTIONS, "--xla_gpu_no_such_flag=true", *flags).splitlines()
    default, nonsense, *changed = lines
    assert nonsense == "unknown" != default and len(changed) == len(flags)
    for flag, options in zip(flags, changed):
        assert options != "unknown", f"jaxlib does not know {flag}"
        assert options != default, f"{flag} is the default of jaxlib now"


@pytest.mark.tpu
def test_libtpu_knows_the_tpu_flags_which_change_the_program():
    assert run_python(SUMS, "v5e:2x2", LIBTPU_INIT_ARGS="--xla_tpu_no_such_flag=true") is None
    environ = {"DFJAX_XLA_PRESET": "tpu"}
    use_xla_preset(environ)
    before, after = run_python(SUMS, "v5e:2x2"), run_python(SUMS, "v5e:2x2", **environ)
    assert before and after and before != after
