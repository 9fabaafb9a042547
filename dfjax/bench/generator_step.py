"""The workload `defake`: a training step of the config `defake`, or its generator on clips."""

from typing import Any

import jax
import numpy as np

from dfjax.bench.workloads import BenchSettings, Program, compile_function
from dfjax.config import load_config
from dfjax.experiment import builders
from dfjax.experiment.parts import Parts, jit_train_step
from dfjax.experiment.step_program import describe_parts
from dfjax.models.summary import count

WORKLOAD = "defake"


def make_generator_program(settings: BenchSettings) -> Program:
    """Returns the compiled workload, with its state and data on one device.

    A training step is that of a run: generator and discriminator, every term of the loss with the
    fixed random features of VGG16, both optimisers and the averaged parameters. An item is a clip.
    `params` are those of the generator and, in training, of the discriminator.

    Args:
        settings: Mode, dtype, and shapes; clips of one frame have no flow.
    """
    config = _make_config(settings)
    parts = describe_parts(config, jax.devices()[:1])
    batch = _draw_batch(config)
    state = jax.jit(parts.init)(parts.root_rng, batch)
    if settings.mode == "infer":
        return _make_inference(parts, state.variables, batch)
    return _make_training(config, parts, state, batch)


def _make_config(settings: BenchSettings) -> Any:
    flow = settings.frames > 1
    return load_config(
        WORKLOAD,
        {
            "preprocess.size": settings.size,
            "data.frames": settings.frames,
            "data.flow": flow,
            "loss.flow_consistency.weight": 2.0 if flow else 0.0,
            "train.batch_size": settings.batch,
            "eval.batch_size": settings.batch,
            "precision": settings.dtype,
            "lowering": settings.lowering,
            "mesh.data": 1,
        },
    )


def _draw_batch(config: Any) -> dict[str, jax.Array]:
    rng = np.random.default_rng(0)
    shapes = builders.example_batch(config, config.train.batch_size, config.preprocess.size)
    batch = {key: np.ones(leaf.shape, leaf.dtype) for key, leaf in shapes.items()}
    for key in ("clip", "source"):
        batch[key] = rng.integers(0, 256, batch[key].shape, np.uint8)
    return jax.device_put(batch)


def _make_inference(parts: Parts, variables: Any, batch: Any) -> Program:
    def infer(variables: Any, batch: Any) -> Any:
        inputs = parts.preprocess(batch, None, train=False)
        seen = {"rgb": inputs["source"], "mask": inputs["mask"]}
        return parts.model.apply(variables, seen, train=False, rngs=None)[0]

    compiled, seconds, peak = compile_function(jax.jit(infer), variables, batch)

    def run(times: int) -> None:
        jax.block_until_ready([compiled(variables, batch) for _ in range(times)][-1])

    return Program(run, seconds, peak, count(variables["params"]))


def _make_training(config: Any, parts: Parts, state: Any, batch: Any) -> Program:
    frozen = jax.device_put(parts.frozen)
    arguments = (batch, parts.root_rng, *frozen)
    compiled, seconds, peak = compile_function(jit_train_step(config, parts), state, *arguments)
    size = count(state.params) + count(state.adversary["params"])

    def run(times: int) -> None:
        nonlocal state
        for _ in range(times):
            state, _ = compiled(state, *arguments)
        jax.block_until_ready(state)

    return Program(run, seconds, peak, size)
