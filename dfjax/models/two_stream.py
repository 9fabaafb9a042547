"""The two-stream detector: a backbone on frames and a CNN on optical flow, each with ConvLSTMs."""

from collections.abc import Mapping
from typing import Any

import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array, Bool, Float

from dfjax.models.backbones import find_backbone, make_backbone
from dfjax.models.classifier import check_classifier, classify_frames, make_classifier
from dfjax.models.conv_lstm import ConvLSTM
from dfjax.models.embedding import embed
from dfjax.models.entry import BackbonePart
from dfjax.models.flow_cnn import FlowCNN
from dfjax.models.frame_encoder import encode_frames
from dfjax.models.layers import Compute
from dfjax.models.pooling import TemporalAttention


class TwoStream(nn.Module):
    """Clip detector: frames and flow → ConvLSTMs → temporal attention → one logit per clip.

    Attributes:
        backbone: Backbone of the frames, a key of `BACKBONES` or an import path, which is also the
            name of this part.
        flow: Whether there is a stream of optical flow, which needs `data.flow`.
        width: Factor of all widths, for small models.
        one_block: Whether each stage of the backbone has a single block, for small models.
        conv_lstm: Numbers of channels of the ConvLSTM layers of each stream.
        flow_channels: Numbers of channels of the convolutions over the flow.
        classifier: Widths of the hidden layers of the classifier.
        dropout: Dropout rates after the hidden layers of the classifier.
        drop_path: Stochastic depth rate of the backbone.
        padding: Padding rule of the backbone (see `dfjax.ops.padding`); `auto` is its own.
        bn: Constants of its batch normalisation (see `bn_constants`); `auto` is its own.
        scan_blocks: Whether the blocks of a vision transformer are compiled once for all, and the
            backward pass recomputes each from its input, which `remat` then need not do.
        remat: What the backward pass recomputes instead of keeping it: none, block (all but the
            outputs of blocks) or all (see `dfjax.models.remat`).
        embedding: Width of a projection head for contrastive pre-training, 128 in Khosla et al.
            (2020); 0 for no head.
        compute: Dtype and lowering.
    """

    backbone: str = "resnet50"
    flow: bool = True
    width: float = 1.0
    one_block: bool = False
    conv_lstm: tuple[int, ...] = (512, 512)
    flow_channels: tuple[int, ...] = (64, 128, 256, 512, 512)
    classifier: tuple[int, ...] = (256,)
    dropout: tuple[float, ...] = (0.5,)
    drop_path: float = 0.0
    padding: str = "auto"
    bn: str = "auto"
    scan_blocks: bool = False
    remat: str = "none"
    embedding: int = 0
    compute: Compute = Compute()

    @nn.compact
    def __call__(
        self, inputs: Mapping[str, Array], *, train: bool
    ) -> tuple[Float[Array, "B"], dict[str, Array]]:
        """Returns the logits (positive: fake) and the outputs below.

        Args:
            inputs: Normalised frames `rgb f32[B,T,S,S,3]`, `mask bool[B,T]`, and with the flow
                stream `flow f32[B,T-1,S,S,2]`. Frames outside the mask have no effect, not even
                on batch statistics.
            train: Whether to use the statistics of the batch, dropout and stochastic depth. The
                random stream of the latter two is `dropout`.

        Returns:
            Logits f32[B], and a dict of outputs: `features f32[B,F]`, the input of the classifier;
            `frame_features f32[B,T,F]`, the states of every frame; `frame_attention f32[B,T]`, the
            weights of the frames in the mean; `frame_logits f32[B,T]`, the classifier applied to
            the states without dropout, 0 outside the mask; `embedding f32[B,E]` with a projection
            head.
        """
        mask = inputs["mask"]
        network = make_backbone(
            self.backbone,
            width=self.width,
            one_block=self.one_block,
            drop_path=self.drop_path,
            padding=self.padding,
            bn=self.bn,
            scan_blocks=self.scan_blocks,
            compute=self.compute,
            module_name=_part(self.backbone),
        )
        maps = encode_frames(network, inputs["rgb"], mask, train=train, remat=self.remat)["top"]
        x = self._recur(maps, mask, "conv_lstm")
        if self.flow:
            channels = tuple(map(self._scaled, self.flow_channels))
            flow_cnn = FlowCNN(channels, compute=self.compute, name="flow_cnn")
            moves, moved = flow_cnn(inputs["flow"], mask, train=train)
            x = jnp.concatenate([x, self._recur(moves, moved, "flow_conv_lstm")], axis=-1)
        features, weights = TemporalAttention(name="attention")(x, mask)
        widths = [self._scaled(width) for width in self.classifier]
        classify = make_classifier(widths, self.dropout)
        logits = classify(features, train=train)
        outputs = {"features": features, "frame_features": x, "frame_attention": weights}
        if self.embedding:
            outputs["embedding"] = embed(features, self.embedding)
        if not self.is_initializing():  # a second call would draw the parameters again
            outputs["frame_logits"] = classify_frames(classify, x, mask)
        return logits, outputs

    def _recur(
        self, maps: Float[Array, "B T h w c"], mask: Bool[Array, "B T"], name: str
    ) -> Float[Array, "B T d"]:
        """Returns the pooled state after every frame; a masked frame leaves the state unchanged."""
        for number, features in enumerate(self.conv_lstm, 1):
            maps = ConvLSTM(
                self._scaled(features),
                remat=self.remat != "none",
                compute=self.compute,
                name=f"{name}{number}",
            )(maps, mask)
        return jnp.mean(maps.astype(jnp.float32), axis=(2, 3))

    def _scaled(self, width: int) -> int:
        return max(8, int(width * self.width))


def _part(backbone: str) -> str:
    """Returns the name of the part of the model that is the backbone."""
    return backbone.rpartition(":")[2]


def find_backbones(options: Mapping[str, Any]) -> dict[str, BackbonePart]:
    """Returns the backbone of the frames; the stream of optical flow has none."""
    name, padding, bn = (options[key] for key in ("backbone", "padding", "bn"))
    return {"rgb": BackbonePart(_part(name), name, padding, bn)}


def check_options(options: Mapping[str, Any]) -> None:
    """Checks options that must be in a list of names or compatible with others.

    Raises:
        UsageError: The backbone is unknown or does not support an option, or the numbers of layers
            and dropout rates of the classifier differ.
    """
    name, *chosen = (options[key] for key in ("backbone", "padding", "bn"))
    find_backbone(name, *chosen, scan_blocks=options["scan_blocks"])
    check_classifier(options["classifier"], options["dropout"])
