"""Names of dimensions, and types of arrays and functions that several packages use.

The dimensions are B clips (or images), T frames of a clip, H and W pixels, h and w cells of a
feature map, C channels, D feature width, N tokens, P patch side, K methods. Images are NHWC. A clip
is uint8 RGB on the host and float32 after `preprocess`.
"""

from collections.abc import Callable, Mapping
from typing import Any, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Array, Bool, Float, Int8, Int32, Key, UInt8

ClipU8 = UInt8[Array, "B T H W 3"]
ClipF32 = Float[Array, "B T H W 3"]
FrameMask = Bool[Array, "B T"]
Positions = Int32[Array, "B T"]
Labels = Int8[Array, "B"]
Logits = Float[Array, "B"]

Batch = Mapping[str, Array]
"""A batch on a device: `clip u8[B,T,H,W,3]`, `mask bool[B,T]`, `position i32[B,T]`, `label i8[B]`,
`weight f32[B]` and `video_index i32[B]`; for some configs also `flow f16[B,T-1,H,W,2]`, `method
i8[B]`, `blend bool[B]`, `landmarks f32[B,T,K,2]`, `region u8[B,T,H,W,1]` (255 where a frame is
manipulated) and `region_known bool[B]`. Stored features `features f32[B,T,D]` replace
`clip`. For generators, `clip` is the target and `source u8[B,T,H,W,3]` the same frames of the video
to restore."""

Inputs = Mapping[str, Array]
"""Inputs of a model, which `preprocess` returns: one entry per stream, `mask bool[B,T]`, and
`target f32[B]` if clips are mixed."""

Outputs = Mapping[str, Array]
"""Outputs of a model besides the logit: `features f32[B,F]`, and for some models `class_logits
f32[B,2]`, `method_logits f32[B,K]`, `frame_logits` and `frame_attention f32[B,T]`, and others."""

Variables = Mapping[str, Any]
"""`{"params": tree, "batch_stats": tree}`, nested dicts with string keys."""

Init = Callable[[Key[Array, ""], Inputs], Variables]
"""`init(rng, inputs) -> variables`; only the shapes of `inputs` matter."""

HostBatch = dict[str, np.ndarray]
"""A batch on the host. `position` contains source frame numbers, and `video_index` positions in the
index; both are -1 for padding."""

Preprocess = Callable[..., Inputs]
"""Pure function `preprocess(batch, rng, *, train) -> inputs`."""

Loss = Callable[[Logits, Outputs, Batch], Float[Array, "B"]]
"""Function `loss(logits, outputs, batch) -> f32[B]` that returns one value per clip."""

Objective = Callable[[Logits, Outputs, Batch], dict[str, Float[Array, "B"]]]
"""Function `objective(logits, outputs, batch) -> {name: f32[B]}` that returns the terms of a loss
by name, multiplied by their factors, so that their sum is the loss of each clip."""


@runtime_checkable
class Apply(Protocol):
    """The forward pass of a model."""

    def __call__(
        self, variables: Variables, inputs: Inputs, *, train: bool, rngs: Mapping[str, Array] | None
    ) -> tuple[Logits, dict[str, Array], Mapping[str, Any]]:
        """Returns logits f32[B] (positive: fake), named outputs, and the new batch statistics.

        A generator returns restored clips f32[B,T,H,W,3] in [-1, 1] in place of logits.

        Args:
            variables: Collections `params` and `batch_stats`.
            inputs: Inputs of the model, with the shapes of `input_shapes`.
            train: Whether the model runs in training mode, with the statistics of the batch,
                dropout and stochastic depth. Otherwise `batch_stats` is returned unchanged.
            rngs: `{"dropout": key}` in training. In evaluation None, or `{"dropout": key}` for
                Monte-Carlo dropout, which only activates the `Dropout` layers.
        """
        ...
