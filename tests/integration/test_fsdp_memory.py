"""Tests that the axis `fsdp` divides what a device holds, by the compiled training step."""

import jax
import pytest

from dfjax.experiment.step_program import trace_config_step

OVERRIDES = [
    *("train.batch_size=8", "data.frames=2", "preprocess.size=32", "optimizer.name=adam"),
    "precision=float32",
]


def read_bytes(mesh):
    """Returns the bytes of parameters and optimiser of a device, and those of the arguments."""
    step = trace_config_step("two_stream_flow:smoke", OVERRIDES, jax.devices(), mesh=mesh)
    memory = step.program.lower().compile().memory_analysis()
    held = step.state_bytes["params"] + step.state_bytes["optimizer"]
    return held, memory.argument_size_in_bytes


@pytest.mark.slow
@pytest.mark.release
def test_a_device_holds_a_part_of_the_parameters_and_of_the_optimizer(compiled_quickly):
    whole, whole_arguments = read_bytes((8, 1, 1))
    part, part_arguments = read_bytes((1, 8, 1))
    assert whole / 8 < part < whole / 4  # small parameters are not divided
    assert whole_arguments - part_arguments == whole - part
