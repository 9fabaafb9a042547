import jax.numpy as jnp
import pytest

from dfjax.errors import UsageError
from dfjax.training.profiling import Profiler


@pytest.mark.parametrize("steps", ["3", "5:2", "2:2", "a:b", "-1:3"])
def test_steps_of_another_form_are_refused(steps, tmp_path):
    with pytest.raises(UsageError, match="START:STOP"):
        Profiler(steps, tmp_path)


def test_the_steps_asked_for_are_traced(tmp_path):
    profiler = Profiler("2:4", tmp_path)
    tracing = []
    for step in range(6):
        profiler.at_step(step)
        tracing.append(profiler.tracing)
        (jnp.ones(4) + step).block_until_ready()
    assert tracing == [False, False, True, True, False, False]
    assert list((tmp_path / "profile").rglob("*.xplane.pb"))


def test_a_run_that_ends_while_tracing_still_writes_the_trace(tmp_path):
    profiler = Profiler("0:100", tmp_path)
    profiler.at_step(0)
    profiler.close()
    assert list((tmp_path / "profile").rglob("*.xplane.pb"))


def test_no_steps_trace_nothing(tmp_path):
    profiler = Profiler("", tmp_path)
    profiler.at_step(0)
    assert not profiler.tracing
