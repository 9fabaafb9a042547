"""Frame classifier: backbone and head score every frame; a clip is the mean of its frames."""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array, Bool, Float

from dfjax.errors import UsageError, unknown
from dfjax.models.backbones import find_backbone, make_backbone
from dfjax.models.embedding import embed
from dfjax.models.frame_encoder import encode_frames
from dfjax.models.layers import TF_BN, TORCH_BN, BatchNorm, Compute, Dense, Dropout
from dfjax.models.pooling import masked_mean

NORMS = {"torch": TORCH_BN, "keras": TF_BN}
"""Constants of the head's batch normalisation, by the framework whose defaults they are."""


class FrameClassifier(nn.Module):
    """Frame classifier: backbone → mean over the map → head → one logit per frame and clip.

    The head is, in this order and as far as its options ask for it: batch normalisation, dropout;
    per hidden layer Dense, ReLU, batch normalisation, dropout; then the logits. A clip's logits are
    the mean of those of its valid frames, which for one frame are that frame's.

    Attributes:
        backbone: Key of `BACKBONES` or an import path.
        width: Factor of every width, for small models.
        one_block: Whether the backbone has one block per stage, for small models.
        drop_path: Stochastic depth of the backbone.
        padding: Flavour of the backbone, see `dfjax.ops.padding`; `auto`: its own.
        base_train: Whether the backbone is in training mode during training. False: it uses its
            moving averages, which stay as they are, and no stochastic depth. Which of its
            parameters are trained is up to `optimizer.freeze`.
        input_norm: Whether the pooled features are batch-normalised.
        input_dropout: Rate of dropout on the pooled features.
        hidden: Widths of the hidden layers; empty: a linear head.
        hidden_norm: Whether batch normalisation follows each hidden layer's ReLU.
        dropout: Rate after each hidden layer.
        norm: `torch` or `keras`, whose default constants the head's normalisation has.
        classes: 1, the logit itself; or 2, real and fake, of which the logit is the difference.
        method_classes: Number of classes of a second output that tells manipulations apart, `real`
            included; 0: none. It is trained by `loss.method`.
        remat: Whether the backward pass computes the backbone again instead of storing its maps.
        embedding: Width of a projection head for contrastive pre-training, 128 in Khosla et al.
            (2020); 0: none.
        compute: Dtype and lowering.
    """

    backbone: str = "b4"
    width: float = 1.0
    one_block: bool = False
    drop_path: float = 0.2
    padding: str = "auto"
    base_train: bool = True
    input_norm: bool = False
    input_dropout: float = 0.5
    hidden: tuple[int, ...] = (512,)
    hidden_norm: bool = True
    dropout: tuple[float, ...] = (0.3,)
    norm: str = "torch"
    classes: int = 2
    method_classes: int = 0
    remat: bool = False
    embedding: int = 0
    compute: Compute = Compute()

    @nn.compact
    def __call__(
        self, inputs: Mapping[str, Array], *, train: bool
    ) -> tuple[Float[Array, "B"], dict[str, Array]]:
        """Returns the logits (positive: fake) and the outputs below.

        Args:
            inputs: `rgb` f32[B,T,S,S,3], normalised frames, and `mask` bool[B,T]. Frames outside
                the mask have no effect, not even on batch statistics.
            train: Whether batch statistics, dropout and stochastic depth are those of training;
                the latter two draw from the stream `dropout`.

        Returns:
            f32[B]; and `features` f32[B,F], the mean over frames of what the head reads,
            `frame_logits` f32[B,T], 0 outside the mask, with two classes `class_logits` f32[B,2],
            with methods `method_logits` f32[B,M], and with a projection head `embedding` f32[B,E].
        """
        mask = inputs["mask"]
        maps = encode_frames(
            self._make_backbone(),
            inputs["rgb"],
            mask,
            train=train and self.base_train,
            remat=self.remat,
        )["top"]
        pooled = jnp.mean(maps.astype(jnp.float32), axis=(2, 3))  # [B, T, C]
        b, t, channels = pooled.shape
        x = self._hidden(pooled.reshape(b * t, channels), mask.reshape(b * t), train=train)

        def over_frames(values: Array) -> Array:
            return masked_mean(values.reshape(b, t, -1), mask)

        scores = Dense(self.classes, name="logits")(x)
        frame_logits = scores[:, 0] if self.classes == 1 else scores[:, 1] - scores[:, 0]
        frame_logits = jnp.where(mask, frame_logits.reshape(b, t), 0)
        outputs = {"features": masked_mean(pooled, mask), "frame_logits": frame_logits}
        if self.classes == 2:
            outputs["class_logits"] = over_frames(scores)
        if self.method_classes:
            outputs["method_logits"] = over_frames(
                Dense(self.method_classes, name="method_logits")(x)
            )
        if self.embedding:
            outputs["embedding"] = embed(outputs["features"], self.embedding)
        return over_frames(frame_logits)[:, 0], outputs

    def _make_backbone(self) -> nn.Module:
        return make_backbone(
            self.backbone,
            width=self.width,
            one_block=self.one_block,
            drop_path=self.drop_path,
            padding=self.padding,
            compute=self.compute,
            module_name="backbone",
        )

    def _hidden(
        self, x: Float[Array, "n c"], mask: Bool[Array, "n"], *, train: bool
    ) -> Float[Array, "n d"]:
        """The head up to its last layer, on the frames of all clips."""
        constants = NORMS[self.norm]
        if self.input_norm:
            x = BatchNorm(constants, name="input_norm")(x, mask, train=train)
        x = Dropout(self.input_dropout, name="input_dropout")(x, train=train)
        for number, (width, rate) in enumerate(zip(self.hidden, self.dropout, strict=True), 1):
            x = Dense(max(8, int(width * self.width)), name=f"hidden{number}")(x)
            x = jax.nn.relu(x)
            if self.hidden_norm:
                x = BatchNorm(constants, name=f"hidden{number}_norm")(x, mask, train=train)
            x = Dropout(rate, name=f"hidden{number}_dropout")(x, train=train)
        return x


def check_options(options: Mapping[str, Any]) -> None:
    """Checks the options that only make sense together or from a list.

    Raises:
        UsageError: An unknown backbone, padding or norm, a number of classes, or not one dropout
            rate per layer.
    """
    find_backbone(options["backbone"], options["padding"])
    if options["norm"] not in NORMS:
        raise unknown("norm", options["norm"], NORMS)
    if options["classes"] not in (1, 2):
        raise UsageError(f"classes is 1 (one logit) or 2 (real, fake), not {options['classes']}")
    hidden, dropout = options["hidden"], options["dropout"]
    if len(hidden) != len(dropout):
        raise UsageError(f"{len(hidden)} hidden layers but {len(dropout)} dropout rates")
    if options["method_classes"] == 1 or options["method_classes"] < 0:
        raise UsageError("method_classes counts the real class too: 0 (no head), or at least 2")
