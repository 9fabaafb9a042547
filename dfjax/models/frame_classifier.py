"""The frame classifier: a backbone and a head score every frame; scores of frames are averaged."""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array, Bool, Float

from dfjax.errors import UsageError, unknown
from dfjax.models.backbones import find_backbone, make_backbone
from dfjax.models.embedding import embed, normalise
from dfjax.models.entry import BackbonePart
from dfjax.models.frame_encoder import encode_frames
from dfjax.models.layers import TF_BN, TORCH_BN, BatchNorm, Compute, Dense, Dropout
from dfjax.models.pooling import masked_mean
from dfjax.ops.views import VIEWS

RGB = "rgb"

NORMS = {"torch": TORCH_BN, "keras": TF_BN}
"""Constants of batch normalisation in the head, by the framework that has them as defaults."""


class FrameClassifier(nn.Module):
    """Frame classifier: backbone → mean over the map → head → one logit per frame and clip.

    Images of further `streams` are additional channels of the backbone's first convolution: the SRM
    residual (3 channels) and the phase of the spectrum (1); see `dfjax.ops.views`.

    The last map of a vision transformer is its class token alone.

    The head consists of, in this order, optional batch normalisation and dropout; for each hidden
    layer a linear layer, ReLU, optional batch normalisation and dropout; and a linear layer for the
    logits. The logits of a clip are the means over its valid frames.

    Attributes:
        backbone: Key of `BACKBONES` or an import path.
        streams: `rgb`, and after it `srm`, `phase` or both: the images that the backbone reads.
        width: Factor of all widths, for small models.
        one_block: Whether each stage of the backbone has a single block, for small models.
        drop_path: Stochastic depth rate of the backbone.
        padding: Padding rule of the backbone (see `dfjax.ops.padding`); `auto` is its own.
        bn: Constants of its batch normalisation (see `bn_constants`); `auto` is its own.
        base_train: Whether the backbone is in training mode during training. Otherwise it uses its
            running statistics, which are not updated, and no stochastic depth. Its parameters are
            trained in either case, unless `optimizer.freeze` freezes them.
        scan_blocks: Whether the blocks of a vision transformer are compiled once for all, and the
            backward pass recomputes each from its input, which `remat` then need not do.
        unit_features: Whether the pooled features of every frame are divided by their length.
        input_norm: Whether the pooled features are batch-normalised.
        input_dropout: Dropout rate of the pooled features.
        hidden: Widths of the hidden layers; empty for a linear head.
        hidden_norm: Whether batch normalisation follows the ReLU of each hidden layer.
        dropout: Dropout rates after the hidden layers.
        norm: Framework whose default constants the batch normalisation of the head has, `torch` or
            `keras`.
        classes: Number of outputs: 1 for the logit itself, or 2 for real and fake, whose difference
            is the logit.
        method_classes: Number of classes, including `real`, of a second output that classifies the
            manipulation and is trained by `loss.method`; 0 for none.
        mask_head: Whether a 1 x 1 convolution gives a logit for every cell of the last map, which
            is trained by `loss.mask` to say where a frame is manipulated.
        remat: What the backward pass recomputes instead of keeping it: none, block (all but the
            outputs of blocks) or all (see `dfjax.models.remat`).
        embedding: Width of a projection head for contrastive pre-training, 128 in Khosla et al.
            (2020); 0 for no head.
        compute: Dtype and lowering.
    """

    backbone: str = "b4"
    streams: tuple[str, ...] = (RGB,)
    width: float = 1.0
    one_block: bool = False
    drop_path: float = 0.2
    padding: str = "auto"
    bn: str = "auto"
    base_train: bool = True
    scan_blocks: bool = False
    unit_features: bool = False
    input_norm: bool = False
    input_dropout: float = 0.5
    hidden: tuple[int, ...] = (512,)
    hidden_norm: bool = True
    dropout: tuple[float, ...] = (0.3,)
    norm: str = "torch"
    classes: int = 2
    method_classes: int = 0
    mask_head: bool = False
    remat: str = "none"
    embedding: int = 0
    compute: Compute = Compute()

    @nn.compact
    def __call__(
        self, inputs: Mapping[str, Array], *, train: bool
    ) -> tuple[Float[Array, "B"], dict[str, Array]]:
        """Returns the logits (positive: fake) and the outputs below.

        Args:
            inputs: `rgb` f32[B,T,S,S,3], normalised frames, `mask` bool[B,T], and `srm`
                f32[B,T,S,S,3] and `phase` f32[B,T,S,S,1] if these are among the streams. Frames
                outside the mask have no effect, not even on batch statistics.
            train: Whether to use the statistics of the batch, dropout and stochastic depth. The
                random stream of the latter two is `dropout`.

        Returns:
            Logits f32[B], and a dict of outputs: `features` f32[B,F], the mean over frames of the
            input of the head; `frame_logits` f32[B,T], 0 outside the mask; `class_logits` f32[B,2]
            with two classes; `method_logits` f32[B,M] with `method_classes`; `mask_logits`
            f32[B,T,h,w] with a mask head; `embedding` f32[B,E] with a projection head.
        """
        mask = inputs["mask"]
        maps = encode_frames(
            self._make_backbone(),
            self._join_streams(inputs),
            mask,
            train=train and self.base_train,
            remat=self.remat,
        )["top"]
        pooled = jnp.mean(maps.astype(jnp.float32), axis=(2, 3))  # [B, T, C]
        if self.unit_features:
            pooled = normalise(pooled)
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
        if self.mask_head:
            outputs["mask_logits"] = Dense(1, name="mask_logits")(maps)[..., 0]
        if self.embedding:
            outputs["embedding"] = embed(outputs["features"], self.embedding)
        return over_frames(frame_logits)[:, 0], outputs

    @nn.nowrap
    def _join_streams(self, inputs: Mapping[str, Array]) -> Float[Array, "B T S S c"]:
        """Returns the images of all streams as channels of one image."""
        images = [inputs[name] for name in self.streams]
        return images[0] if len(images) == 1 else jnp.concatenate(images, axis=-1)

    def _make_backbone(self) -> nn.Module:
        return make_backbone(
            self.backbone,
            width=self.width,
            one_block=self.one_block,
            drop_path=self.drop_path,
            padding=self.padding,
            bn=self.bn,
            scan_blocks=self.scan_blocks,
            compute=self.compute,
            module_name="backbone",
        )

    def _hidden(
        self, x: Float[Array, "n c"], mask: Bool[Array, "n"], *, train: bool
    ) -> Float[Array, "n d"]:
        """Returns the output of the last hidden layer for the frames of all clips."""
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


def find_backbones(options: Mapping[str, Any]) -> dict[str, BackbonePart]:
    """Returns the backbone of the frames."""
    name, padding, bn = (options[key] for key in ("backbone", "padding", "bn"))
    channels = 3 + sum(VIEWS[view].channels for view in find_views(options))
    return {RGB: BackbonePart("backbone", name, padding, bn, channels=channels)}


def find_views(options: Mapping[str, Any]) -> tuple[str, ...]:
    """Returns the names of the streams beside the frames."""
    return tuple(name for name in options["streams"] if name != RGB)


def check_options(options: Mapping[str, Any]) -> None:
    """Checks options that must be in a list of names or compatible with others.

    Raises:
        UsageError: The backbone, padding, norm or a stream is unknown, a number of classes is
            invalid, the numbers of hidden layers and dropout rates differ, or the backbone cannot
            be scanned.
    """
    _check_streams(options["streams"])
    name, *chosen = (options[key] for key in ("backbone", "padding", "bn"))
    backbone = find_backbone(name, *chosen, scan_blocks=options["scan_blocks"])
    if options["mask_head"] and backbone.patch > 1:
        raise UsageError(f"mask_head needs maps, and the last one of {name} is its class token")
    if options["norm"] not in NORMS:
        raise unknown("norm", options["norm"], NORMS)
    if options["classes"] not in (1, 2):
        raise UsageError(
            f"classes must be 1 (one logit) or 2 (real, fake), not {options['classes']}"
        )
    hidden, dropout = options["hidden"], options["dropout"]
    if len(hidden) != len(dropout):
        raise UsageError(f"{len(hidden)} hidden layers but {len(dropout)} dropout rates")
    if options["method_classes"] == 1 or options["method_classes"] < 0:
        raise UsageError(
            "method_classes includes the class real: it must be 0 (no head) or at least 2"
        )


def _check_streams(streams: tuple[str, ...]) -> None:
    valid = (RGB, *VIEWS)
    for name in streams:
        if name not in valid:
            raise unknown("stream", name, valid)
    # One order, so that the channels of a file of parameters mean the same everywhere.
    if RGB not in streams or streams != tuple(name for name in valid if name in streams):
        raise UsageError(
            f"streams must be {RGB} and after it any of {', '.join(VIEWS)}, each once and in this "
            f"order, not {streams}"
        )
