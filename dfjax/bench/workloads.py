"""The workloads of the benchmark: models of the package on random data."""

import functools
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array

from dfjax import precision
from dfjax.config import load_config, model_options
from dfjax.models import build, input_shapes
from dfjax.models.conv_lstm import ConvLSTM
from dfjax.models.efficientnet import EfficientNet, scaling
from dfjax.models.initializers import one_draw
from dfjax.models.layers import Compute
from dfjax.models.summary import count
from dfjax.models.unet import UNet
from dfjax.ops.lowering import Lowering, resolve

LSTM_INPUT, LSTM_FEATURES, LSTM_SIDE = 1792, 256, 7

DETECTORS = {
    "dual_stream": "dual_stream",
    "two_stream": "two_stream_flow",
    "transformer_head": "transformer_head",
}
"""Config of each workload that is a detector."""


class BenchSettings(NamedTuple):
    """Workload and shapes of a measurement.

    Attributes:
        workload: Name in `WORKLOADS`.
        mode: `train` or `infer`.
        batch: Number of images or clips per step.
        frames: Number of frames per clip.
        size: Side of a frame in pixels.
        dtype: Data type of activations, a name in `precision.POLICIES`.
        lowering: Lowering of the convolutions, a name in `LOWERINGS`.
    """

    workload: str
    mode: str
    batch: int
    frames: int
    size: int
    dtype: str
    lowering: str


class Program(NamedTuple):
    """A compiled workload.

    Attributes:
        run: Function that runs a number of steps in succession and waits for the last result.
        compile_s: Time of compilation in seconds.
        peak_bytes: Size of the arguments and temporaries of the step in bytes.
        params: Number of parameters.
    """

    run: Callable[[int], None]
    compile_s: float
    peak_bytes: int
    params: int


class Task(NamedTuple):
    """A workload before compilation.

    Attributes:
        inputs: Shapes of the inputs.
        init: Function `init(rng, inputs) -> {"params", "batch_stats"}`.
        forward: Function `forward(variables, inputs, train, rng) -> (output, batch_stats)`. The
            loss is binary cross-entropy for a vector of logits and the mean square for other
            outputs.
    """

    inputs: Any
    init: Callable[..., Any]
    forward: Callable[..., tuple[Array, Any]]


def _lowering(settings: BenchSettings) -> Lowering:
    return resolve(settings.lowering, batch_on_every_axis=True)  # one device


def frame_classifier(settings: BenchSettings) -> Task:
    """Returns the workload of an EfficientNet with dropout and a linear layer on images."""
    compute = Compute(precision.compute_dtype(settings.dtype), _lowering(settings))
    network = EfficientNet(settings.workload, compute=compute)
    keep = 1 - scaling(settings.workload).dropout
    images = jax.ShapeDtypeStruct((settings.batch, settings.size, settings.size, 3), jnp.float32)

    def init(rng: Array, images: Array) -> Any:
        variables: Any = one_draw(functools.partial(network.init, train=False), rng, images)
        channels = variables["params"]["top_bn"]["scale"].shape[0]
        head = jax.random.normal(rng, (channels,)) * channels**-0.5
        return variables | {"params": variables["params"] | {"head": head}}

    def forward(variables: Any, images: Array, train: bool, rng: Array) -> tuple[Array, Any]:
        head = variables["params"]["head"]
        trunk = {key: value for key, value in variables["params"].items() if key != "head"}
        maps, new = network.apply(
            variables | {"params": trunk},
            images,
            train=train,
            rngs={"dropout": rng},
            mutable=["batch_stats"],
        )
        features = jnp.mean(maps["top"].astype(jnp.float32), axis=(1, 2))
        if train:
            kept = jax.random.bernoulli(rng, keep, features.shape)
            features = jnp.where(kept, features / keep, 0)
        return features @ head, new["batch_stats"]

    return Task(images, init, forward)


def conv_lstm(settings: BenchSettings) -> Task:
    """Returns the workload of one ConvLSTM layer on the maps of clips."""
    compute = Compute(precision.compute_dtype(settings.dtype), _lowering(settings))
    layer = ConvLSTM(LSTM_FEATURES, compute=compute)
    shape = (settings.batch, settings.frames, LSTM_SIDE, LSTM_SIDE, LSTM_INPUT)

    def init(rng: Array, maps: Array) -> Any:
        return {"params": one_draw(layer.init, rng, maps)["params"], "batch_stats": {}}

    def forward(variables: Any, maps: Array, train: bool, rng: Array) -> tuple[Array, Any]:
        states: Any = layer.apply({"params": variables["params"]}, maps)
        return states, {}

    return Task(jax.ShapeDtypeStruct(shape, jnp.float32), init, forward)


def detector(settings: BenchSettings) -> Task:
    """Returns the workload of a detector with the options of its config, `DETECTORS`.

    The second stream of dual_stream has half the side of the first.
    """
    config = load_config(DETECTORS[settings.workload])
    name, options = config.model.name, model_options(config).to_dict()
    if "lq_size" in options:
        options["lq_size"] = settings.size // 2
    dtype = precision.compute_dtype(settings.dtype)
    model = build(name, lowering=_lowering(settings), dtype=dtype, **options)

    def forward(variables: Any, inputs: Any, train: bool, rng: Array) -> tuple[Array, Any]:
        rngs = {"dropout": rng} if train else None
        logits, _, stats = model.apply(variables, inputs, train=train, rngs=rngs)
        return logits, stats

    inputs = input_shapes(name, settings.size, settings.batch, settings.frames, **options)
    return Task(inputs, model.init, forward)


def unet(settings: BenchSettings) -> Task:
    """Returns the workload of the U-Net on single frames, with the mean of the output as logit."""
    compute = Compute(precision.compute_dtype(settings.dtype), _lowering(settings))
    network = UNet(compute=compute)
    inputs = input_shapes("unet", settings.size, settings.batch, 1)

    def init(rng: Array, inputs: Any) -> Any:
        return one_draw(functools.partial(network.init, train=False), rng, inputs)

    def forward(variables: Any, inputs: Any, train: bool, rng: Array) -> tuple[Array, Any]:
        result: Any = network.apply(variables, inputs, train=train, mutable=["batch_stats"])
        (restored, _), new = result
        return jnp.mean(restored, axis=(1, 2, 3, 4)), new["batch_stats"]

    return Task(inputs, init, forward)


WORKLOADS = {
    "b0": frame_classifier,
    "b4": frame_classifier,
    "convlstm": conv_lstm,
    **dict.fromkeys(DETECTORS, detector),
    "unet": unet,
}
PEERS = ("b0", "b4", "convlstm", "dual_stream", "transformer_head", "unet")
"""Workloads that have an equivalent in PyTorch."""


def make_program(settings: BenchSettings) -> Program:
    """Returns the compiled workload, with its state and data on the device."""
    task = WORKLOADS[settings.workload](settings)
    rng = jax.random.key(0)
    data = _random(rng, task.inputs)
    variables = jax.jit(task.init)(rng, data)
    size = count(variables["params"])
    if settings.mode == "infer":
        return _inference(task, variables, data, size)
    return _training(task, variables, data, size)


def _inference(task: Task, variables: Any, data: Any, size: int) -> Program:
    def infer(variables: Any, data: Any) -> Array:
        return task.forward(variables, data, False, jax.random.key(1))[0]

    compiled, seconds, peak = compile_function(jax.jit(infer), variables, data)

    def run(count: int) -> None:
        jax.block_until_ready([compiled(variables, data) for _ in range(count)][-1])

    return Program(run, seconds, peak, size)


def _training(task: Task, variables: Any, data: Any, size: int) -> Program:
    tx = optax.adam(1e-4)

    def train(state: Any, data: Any) -> Any:
        rng = jax.random.fold_in(jax.random.key(1), state["step"])

        def loss(params: Any) -> tuple[Array, Any]:
            variables = {"params": params, "batch_stats": state["batch_stats"]}
            output, stats = task.forward(variables, data, True, rng)
            if output.ndim == 1:
                return optax.sigmoid_binary_cross_entropy(
                    output, jnp.ones_like(output)
                ).mean(), stats
            return jnp.mean(output.astype(jnp.float32) ** 2), stats

        gradients, stats = jax.grad(loss, has_aux=True)(state["params"])
        updates, opt_state = tx.update(gradients, state["opt_state"], state["params"])
        return {
            "params": optax.apply_updates(state["params"], updates),
            "batch_stats": stats,
            "opt_state": opt_state,
            "step": state["step"] + 1,
        }

    state = dict(variables) | {"opt_state": tx.init(variables["params"]), "step": jnp.int32(0)}
    compiled, seconds, peak = compile_function(jax.jit(train, donate_argnums=0), state, data)

    def run(count: int) -> None:
        nonlocal state
        for _ in range(count):
            state = compiled(state, data)
        jax.block_until_ready(state)

    return Program(run, seconds, peak, size)


def compile_function(function: Any, *arguments: object) -> tuple[Any, float, int]:
    """Returns the compiled function, the time of compilation in seconds and the bytes of a call.

    Args:
        function: Jitted function.
        *arguments: Arguments with the shapes to compile for.
    """
    start = time.perf_counter()
    compiled = function.lower(*arguments).compile()
    seconds = time.perf_counter() - start
    memory = compiled.memory_analysis()
    return compiled, seconds, memory.argument_size_in_bytes + memory.temp_size_in_bytes


def _random(rng: Array, shapes: Any) -> Any:
    """Returns normally distributed inputs, and masks in which every frame is valid."""

    def draw(shape: jax.ShapeDtypeStruct) -> Array:
        if shape.dtype == jnp.bool_:
            return jnp.ones(shape.shape, bool)
        return jax.random.normal(rng, shape.shape, shape.dtype)

    return jax.tree.map(draw, shapes)
