"""Grad-CAM on any model: which cells of a feature map raise the logit of a clip.

Maps are taken from the calls of modules (`nn.intercept_methods`), so that no model has to be
written for it. The gradient of the logit with respect to a map is that with respect to an offset of
zeros that is added to it.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array, Float

from dfjax.errors import UsageError
from dfjax.shapes import Apply, Inputs, Variables

CELLS = 7
"""Smallest side of a map that is explained, where the network has one: that of a usual last map."""

Path = tuple[str, ...]


class Layer(NamedTuple):
    """A module that gives a map of every frame.

    Attributes:
        path: Path of the module.
        shape: Shape of its output, `[B*T, h, w, C]`.
        dtype: Dtype of its output.
    """

    path: Path
    shape: tuple[int, ...]
    dtype: Any


class Saliency(NamedTuple):
    """The maps of one stream, and what the model returned.

    Attributes:
        maps: Evidence for fake in each cell, not negative.
        logits: Logits of the clips.
        outputs: Other outputs of the model.
    """

    maps: Float[Array, "B T h w"]
    logits: Float[Array, "B"]
    outputs: Mapping[str, Array]


def find_layers(apply: Apply, variables: Variables, inputs: Mapping[str, Any]) -> dict[str, Layer]:
    """Returns the layer of each stream that Grad-CAM explains: the last one of `CELLS` cells.

    A stream is a backbone (`hq`, `lq`; `frames` for a single one) or the CNN on optical flow. A
    model without these has the stream `frames`, with the maps of all its modules. The layer of a
    vision transformer is its `PatchMap`, the patch tokens that enter the last block.

    Args:
        apply: Forward pass of a model, without a scan over the blocks of a vision transformer,
            which would hide their tokens.
        variables: Its variables.
        inputs: Inputs of a batch, or their shapes.

    Raises:
        UsageError: No module of the model gives a map of every frame.
    """
    calls: list[Layer] = []
    frames = inputs["mask"].size

    def record(next_call: Any, args: Any, kwargs: Any, context: Any) -> Any:
        output = next_call(*args, **kwargs)
        if isinstance(output, jax.Array) and output.ndim == 4 and output.shape[0] == frames:
            calls.append(Layer(context.module.path, output.shape, output.dtype))
        return output

    def forward(variables: Variables, inputs: Inputs) -> Array:
        with nn.intercept_methods(record):
            return apply(variables, inputs, train=False, rngs=None)[0]

    jax.eval_shape(forward, variables, inputs)
    streams: dict[str, list[Layer]] = {}
    for layer in calls:
        if stream := _name_stream(layer.path):
            streams.setdefault(stream, []).append(layer)
    streams = streams or {"frames": calls}
    chosen = {name: _choose(layers) for name, layers in streams.items() if layers}
    if not chosen:
        raise UsageError("this detector has no feature maps of frames that could be explained")
    return chosen


def _name_stream(path: Path) -> str:
    if not path:
        return ""
    if path[0].endswith("backbone"):
        return path[0].removesuffix("backbone").rstrip("_") or "frames"
    return "flow" if path[0] == "flow_cnn" else ""


def _choose(layers: list[Layer]) -> Layer:
    """Returns the last layer whose map has `CELLS` cells or more, else the last of the largest."""
    wanted = min(CELLS, max(min(layer.shape[1:3]) for layer in layers))
    return [layer for layer in layers if min(layer.shape[1:3]) >= wanted][-1]


def make_saliency(apply: Apply, layer: Layer) -> Callable[[Variables, Inputs], Saliency]:
    """Returns a function that computes Grad-CAM (Selvaraju et al., 2017) of the logit.

    Args:
        apply: Forward pass of a model.
        layer: Layer to explain, of inputs of the same shapes (`find_layers`).
    """

    def forward(
        offset: Array, variables: Variables, inputs: Inputs
    ) -> tuple[Array, tuple[Array, Array, Mapping[str, Array]]]:
        kept: list[Array] = []

        def shift(next_call: Any, args: Any, kwargs: Any, context: Any) -> Any:
            output = next_call(*args, **kwargs)
            if kept or context.module.path != layer.path or jnp.shape(output) != layer.shape:
                return output
            kept.append(output)
            return output + offset

        with nn.intercept_methods(shift):
            logits, outputs, _ = apply(variables, inputs, train=False, rngs=None)
        return logits.sum(), (kept[0], logits, outputs)

    def compute(variables: Variables, inputs: Inputs) -> Saliency:
        offset = jnp.zeros(layer.shape, layer.dtype)
        gradient, (maps, logits, outputs) = jax.grad(forward, has_aux=True)(
            offset, variables, inputs
        )
        heat = compute_grad_cam(maps, gradient)
        return Saliency(heat.reshape(*inputs["mask"].shape, *heat.shape[1:]), logits, outputs)

    return compute


def compute_grad_cam(
    maps: Float[Array, "n h w C"], gradient: Float[Array, "n h w C"]
) -> Float[Array, "n h w"]:
    """Returns the sum of the channels, weighted by their mean gradients; negative values are 0.

    Args:
        maps: Feature maps.
        gradient: Gradient of the score with respect to them.
    """
    maps, gradient = maps.astype(jnp.float32), gradient.astype(jnp.float32)
    weights = gradient.mean(axis=(1, 2), keepdims=True)
    return jax.nn.relu((weights * maps).sum(axis=-1))
