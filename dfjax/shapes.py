"""Names of dimensions and of the array types that cross package borders.

B clips (or images) · T frames of a clip · H W pixels, h w cells of a feature map · C channels ·
D feature width · N tokens · P patch side · K methods.
Images are NHWC. A clip is uint8 RGB on the host and float32 after `preprocess`.
"""

from collections.abc import Callable, Mapping
from typing import Any, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Array, Bool, Float, Int8, Int32, UInt8

ClipU8 = UInt8[Array, "B T H W 3"]
ClipF32 = Float[Array, "B T H W 3"]
FrameMask = Bool[Array, "B T"]
Positions = Int32[Array, "B T"]
Labels = Int8[Array, "B"]
Logits = Float[Array, "B"]

Batch = Mapping[str, Array]
"""`clip u8[B,T,H,W,3]  mask bool[B,T]  position i32[B,T]  label i8[B]  weight f32[B]
video_index i32[B]`, and where a recipe uses them `flow f16[B,T-1,H,W,2]`, `method i8[B]`, `blend
bool[B]`, `landmarks f32[B,T,K,2]`; `features f32[B,T,D]` takes the place of pixels."""

Inputs = Mapping[str, Array]
"""What `preprocess` makes of a batch: one entry per stream, `mask bool[B,T]`, and `target f32[B]`
where mixing makes labels soft."""

Outputs = Mapping[str, Array]
"""What a model says besides the logit: `features f32[B,F]`, and where it has them `class_logits
f32[B,2]`, `method_logits f32[B,K]`, `frame_logits` and `frame_attention f32[B,T]`, and more."""

Variables = Mapping[str, Any]
"""`{"params": tree, "batch_stats": tree}`, plain nested dicts with string keys."""

HostBatch = dict[str, np.ndarray]
"""A batch before it is put on a device. `position` counts source frames and is -1 for padding;
`video_index` is a row of the index and -1 for padding."""

Preprocess = Callable[..., Inputs]
"""`preprocess(batch, rng, *, train) -> inputs`, pure."""

Loss = Callable[[Logits, Outputs, Batch], Float[Array, "B"]]
"""`loss(logits, outputs, batch) -> f32[B]`: one value per clip, never reduced."""

Objective = Callable[[Logits, Outputs, Batch], dict[str, Float[Array, "B"]]]
"""`objective(logits, outputs, batch) -> {name: f32[B]}`: the terms of a loss by name, each already
multiplied with its share, so that their sum is the loss of each clip."""


@runtime_checkable
class Apply(Protocol):
    """The forward pass of a model."""

    def __call__(
        self, variables: Variables, inputs: Inputs, *, train: bool, rngs: Mapping[str, Array] | None
    ) -> tuple[Logits, dict[str, Array], Mapping[str, Any]]:
        """Returns logits f32[B] (positive: fake), named outputs, and the new batch statistics.

        Args:
            variables: `params` and `batch_stats`.
            inputs: what `preprocess` makes, see `input_shapes`.
            train: batch statistics, dropout and drop path; otherwise `batch_stats` comes back as
                it was.
            rngs: `{"dropout": key}` in training; otherwise None, or that for Monte-Carlo dropout:
                the `Dropout` layers are active then, and nothing else.
        """
        ...
