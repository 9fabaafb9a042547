"""Two backbone streams of one clip, a ConvLSTM over their maps, attention fusion."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array, Float

from dfjax.errors import UsageError, unknown
from dfjax.models.backbones import find_backbone, make_backbone
from dfjax.models.classifier import check_classifier, classify
from dfjax.models.conv_lstm import ConvLSTM
from dfjax.models.flow_cnn import FlowCNN
from dfjax.models.frame_encoder import encode_frames
from dfjax.models.fusion import weigh_views
from dfjax.models.layers import Compute, Dense
from dfjax.models.pooling import masked_mean
from dfjax.ops.resize import resize

STREAMS = ("hq", "lq")


class DualStream(nn.Module):
    """Clip detector: backbones → ConvLSTM and attention fusion → one logit per clip.

    Attributes:
        streams: `hq` (the frames), `lq` (the same frames down-sampled on device), or both.
        flow: one more stream, of optical flow: its maps join those of the ConvLSTM, and their mean
            over frames the fusion.
        hq: backbone of the first stream, a key of `BACKBONES`.
        lq: backbone of the second one.
        lq_size: side of the second stream's frames; other sizes are refused.
        width: multiplies every width, for small models.
        one_block: one block per stage of the backbones.
        flow_channels: of the convolutions over the flow.
        conv_lstm: channels of the recurrent layers.
        projection: width to which the streams' features are brought for fusion.
        attention: hidden width of the stream weights.
        classifier: hidden widths of the classifier.
        dropout: rate after each hidden layer of the classifier.
        drop_path: stochastic depth of the backbones.
        padding: flavour of the backbones, see `dfjax.ops.padding`.
        remat: recompute every backbone and the recurrent gates in the backward pass.
        compute: dtype and lowering.
    """

    streams: tuple[str, ...] = STREAMS
    flow: bool = False
    hq: str = "b4"
    lq: str = "b0"
    lq_size: int = 112
    width: float = 1.0
    one_block: bool = False
    flow_channels: tuple[int, ...] = (64, 128, 256, 512, 512)
    conv_lstm: tuple[int, ...] = (256, 128)
    projection: int = 1280
    attention: int = 512
    classifier: tuple[int, ...] = (512, 256)
    dropout: tuple[float, ...] = (0.5, 0.3)
    drop_path: float = 0.2
    padding: str = "same"
    remat: bool = False
    compute: Compute = Compute()

    @nn.compact
    def __call__(
        self, inputs: Mapping[str, Array], *, train: bool
    ) -> tuple[Float[Array, "B"], dict[str, Array]]:
        """Returns the logits (positive: fake) and the outputs below.

        Args:
            inputs: normalised frames f32[B,T,S,S,3] under each stream's name, `mask` bool[B,T], and
                with the flow stream `flow` f32[B,T-1,S,S,2]; a frame outside the mask changes
                nothing, batch statistics included.
            train: batch statistics, dropout and stochastic depth, drawn from the stream `dropout`.

        Returns:
            f32[B]; and `features` f32[B,F], fused and temporal, what the classifier reads, with
            `stream_weights` f32[B,S] when there is more than one stream.
        """
        mask = inputs["mask"]
        views = {name: self._stream(name, inputs[name], mask, train=train) for name in self.streams}
        if self.flow:
            views["flow"] = self._flow_stream(inputs["flow"], mask, train=train)
        temporal = self._temporal([view.maps for view in views.values()], mask)
        outputs = {}
        vectors = [self._project(name, view.vector) for name, view in views.items()]
        if len(vectors) > 1:
            weights = weigh_views(vectors, self._scaled(self.attention))
            outputs["stream_weights"] = weights
            fused = jnp.einsum("sbd,bs->bd", jnp.stack(vectors), weights)
        else:
            fused = vectors[0]
        features = jnp.concatenate([fused, temporal], axis=-1)
        outputs["features"] = features
        widths = [self._scaled(width) for width in self.classifier]
        return classify(features, widths, self.dropout, train=train), outputs

    def _stream(self, name: str, clip: Array, mask: Array, *, train: bool) -> "View":
        size = clip.shape[2]
        if name == "lq" and size != self.lq_size:
            raise UsageError(f"stream lq has frames of {size} px, lq_size is {self.lq_size}")
        network = make_backbone(
            getattr(self, name),
            width=self.width,
            one_block=self.one_block,
            padding=self.padding,
            drop_path=self.drop_path,
            compute=self.compute,
            module_name=f"{name}_backbone",
        )
        maps = encode_frames(network, clip, mask, train=train, remat=self.remat)["top"]
        return View(maps, _pool(maps, mask))

    def _flow_stream(self, flow: Array, mask: Array, *, train: bool) -> "View":
        channels = tuple(map(self._scaled, self.flow_channels))
        flow_cnn = FlowCNN(channels, compute=self.compute, name="flow_cnn")
        maps, moved = flow_cnn(flow, mask, train=train)
        return View(maps, _pool(maps, moved))

    def _temporal(self, maps: list[Array], mask: Array) -> Array:
        size = (maps[0].shape[2], maps[0].shape[3])
        x = jnp.concatenate([resize(m, size, antialias=False) for m in maps], axis=-1)
        for number, features in enumerate(self.conv_lstm, 1):
            x = ConvLSTM(
                self._scaled(features),
                remat=self.remat,
                compute=self.compute,
                name=f"conv_lstm{number}",
            )(x, mask)
        return jnp.mean(x[:, -1].astype(jnp.float32), axis=(1, 2))

    def _project(self, name: str, vector: Array) -> Array:
        width = self._scaled(self.projection)
        if name == "lq" and vector.shape[-1] == width:
            return (
                vector  # as published: only the wide stream is projected, to the narrow one's width
            )
        return Dense(width, name=f"{name}_projection")(vector)

    def _scaled(self, width: int) -> int:
        return max(8, int(width * self.width))


class View(NamedTuple):
    """One stream's features: maps [B,T,h,w,C] and their mean over valid frames, f32[B,C]."""

    maps: Array
    vector: Array


def _pool(maps: Array, mask: Array) -> Array:
    return masked_mean(jnp.mean(maps.astype(jnp.float32), axis=(2, 3)), mask)


def check_options(options: Mapping[str, Any]) -> None:
    """Checks the options that only make sense together.

    Raises:
        UsageError: an unknown, repeated or missing stream, an unknown backbone or one without that
            padding, or not one dropout rate per layer.
    """
    streams = options["streams"]
    for name in streams:
        if name not in STREAMS:
            raise unknown("stream", name, STREAMS)
    if not streams or len(set(streams)) != len(streams):
        raise UsageError(f"streams is {streams}; give hq, lq or both, each once")
    for name in streams:
        find_backbone(options[name], options["padding"])
    check_classifier(options["classifier"], options["dropout"])
