"""The dual-stream detector: two backbones, a ConvLSTM over their maps, and attention fusion."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array, Float

from dfjax.errors import UsageError, unknown
from dfjax.models.backbones import find_backbone, make_backbone
from dfjax.models.bn_constants import AUTO
from dfjax.models.classifier import check_classifier, classify_frames, make_classifier
from dfjax.models.conv_lstm import ConvLSTM
from dfjax.models.embedding import embed
from dfjax.models.entry import BackbonePart
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
        streams: `hq` (the frames), `lq` (the same frames, downsampled on the device), or both.
        flow: Whether optical flow is a further stream, which needs `data.flow`. Its maps are an
            input of the ConvLSTM too, and the mean over its frames takes part in the fusion.
        hq: Backbone of the stream `hq`, a key of `BACKBONES` or an import path.
        lq: Backbone of the stream `lq`, a key of `BACKBONES` or an import path.
        lq_size: Side of the frames of the stream `lq` in pixels.
        width: Factor of all widths, for small models.
        one_block: Whether each stage of the backbones has a single block, for small models.
        flow_channels: Numbers of channels of the convolutions over the flow.
        conv_lstm: Numbers of channels of the ConvLSTM layers.
        projection: Width to which the features of all streams are projected.
        attention: Hidden width of the layers that compute the weights of the streams.
        classifier: Widths of the hidden layers of the classifier.
        dropout: Dropout rates after the hidden layers of the classifier.
        drop_path: Stochastic depth rate of the backbones.
        padding: Padding rule of the backbones (see `dfjax.ops.padding`); `auto` is their own.
        bn: Constants of their batch normalisation (see `bn_constants`); `auto` is their own.
        lq_padding: Padding rule of the backbone of the stream `lq`; `auto` is `padding`.
        lq_bn: Constants of its batch normalisation; `auto` is `bn`.
        scan_blocks: Whether the blocks of each backbone, all vision transformers, are compiled once
            for all, and the backward pass recomputes each from its input.
        remat: What the backward pass recomputes instead of keeping it: none, block (all but the
            outputs of blocks) or all (see `dfjax.models.remat`).
        embedding: Width of a projection head for contrastive pre-training, 128 in Khosla et al.
            (2020); 0 for no head.
        compute: Dtype and lowering.
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
    padding: str = AUTO
    bn: str = AUTO
    lq_padding: str = AUTO
    lq_bn: str = AUTO
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
            inputs: Normalised frames f32[B,T,S,S,3] by the names of the streams, `mask` bool[B,T],
                and with the flow stream `flow` f32[B,T-1,S,S,2]. Frames outside the mask have no
                effect, not even on batch statistics.
            train: Whether to use the statistics of the batch, dropout and stochastic depth. The
                random stream of the latter two is `dropout`.

        Returns:
            Logits f32[B], and a dict of outputs: `features` f32[B,F], the input of the classifier,
            which concatenates fused vectors and the last state; `frame_features` f32[B,T,F], the
            same for every frame, with its own vectors and the state after it; `frame_logits`
            f32[B,T], the classifier applied to these without dropout, 0 outside the mask;
            `stream_weights` f32[B,S] with more than one stream; `embedding` f32[B,E] with a
            projection head.

        Raises:
            UsageError: The side of the frames of the stream `lq` is not `lq_size`.
        """
        mask = inputs["mask"]
        views = {name: self._stream(name, inputs[name], mask, train=train) for name in self.streams}
        if self.flow:
            views["flow"] = self._flow_stream(inputs["flow"], mask, train=train)
        states = self._temporal([view.maps for view in views.values()], mask)
        layers = [self._projection(name, view) for name, view in views.items()]
        vectors = [project(view.vector) for project, view in zip(layers, views.values())]
        outputs = {}
        if len(views) > 1:
            outputs["stream_weights"] = weigh_views(vectors, self._scaled(self.attention))
        fused = _mean_of_streams(vectors, outputs.get("stream_weights"))
        features = jnp.concatenate([fused, _mean_of_map(states[:, -1])], axis=-1)
        outputs["features"] = features
        classify = make_classifier([self._scaled(width) for width in self.classifier], self.dropout)
        logits = classify(features, train=train)
        if self.embedding:
            outputs["embedding"] = embed(features, self.embedding)
        if not self.is_initializing():  # a second call would draw the parameters again
            frames = [project(view.frames) for project, view in zip(layers, views.values())]
            fused = _mean_of_streams(frames, outputs.get("stream_weights"))
            each = jnp.concatenate([fused, _mean_of_map(states)], axis=-1)
            outputs["frame_features"] = each
            outputs["frame_logits"] = classify_frames(classify, each, mask)
        return logits, outputs

    def _stream(self, name: str, clip: Array, mask: Array, *, train: bool) -> "View":
        size = clip.shape[2]
        if name == "lq" and size != self.lq_size:
            raise UsageError(f"the frames of stream lq have {size} px, not lq_size={self.lq_size}")
        network = make_backbone(
            getattr(self, name),
            width=self.width,
            one_block=self.one_block,
            **stream_conventions(vars(self), name),
            drop_path=self.drop_path,
            scan_blocks=self.scan_blocks,
            compute=self.compute,
            module_name=f"{name}_backbone",
        )
        maps = encode_frames(network, clip, mask, train=train, remat=self.remat)["top"]
        return _view(maps, mask)

    def _flow_stream(self, flow: Array, mask: Array, *, train: bool) -> "View":
        channels = tuple(map(self._scaled, self.flow_channels))
        flow_cnn = FlowCNN(channels, compute=self.compute, name="flow_cnn")
        maps, moved = flow_cnn(flow, mask, train=train)
        return _view(maps, moved)

    def _temporal(self, maps: list[Array], mask: Array) -> Float[Array, "B T h w d"]:
        """Returns the states of the last ConvLSTM after every frame."""
        size = (maps[0].shape[2], maps[0].shape[3])
        x = jnp.concatenate([resize(m, size, antialias=False) for m in maps], axis=-1)
        for number, features in enumerate(self.conv_lstm, 1):
            x = ConvLSTM(
                self._scaled(features),
                remat=self.remat != "none",
                compute=self.compute,
                name=f"conv_lstm{number}",
            )(x, mask)
        return x

    def _projection(self, name: str, view: "View") -> Callable[[Array], Array]:
        width = self._scaled(self.projection)
        if name == "lq" and view.vector.shape[-1] == width:
            # As published: only the wider stream is projected, to the width of the narrower one.
            return lambda vector: vector
        return Dense(width, name=f"{name}_projection")

    def _scaled(self, width: int) -> int:
        return max(8, int(width * self.width))


class View(NamedTuple):
    """The features of one stream.

    Attributes:
        maps: Last maps of every frame.
        frames: Means over these maps.
        vector: Mean of `frames` over the valid frames.
    """

    maps: Float[Array, "B T h w C"]
    frames: Float[Array, "B T C"]
    vector: Float[Array, "B C"]


def _view(maps: Array, mask: Array) -> View:
    frames = _mean_of_map(maps)
    return View(maps, frames, masked_mean(frames, mask))


def _mean_of_streams(vectors: list[Array], weights: Array | None) -> Float[Array, "B *T D"]:
    """Returns the mean of the streams with weights f32[B,S]; None is for a single stream."""
    if weights is None:
        return vectors[0]
    return jnp.einsum("sb...d,bs->b...d", jnp.stack(vectors), weights)


def _mean_of_map(maps: Float[Array, "*n h w C"]) -> Float[Array, "*n C"]:
    return jnp.mean(maps.astype(jnp.float32), axis=(-3, -2))


def stream_conventions(options: Mapping[str, Any], name: str) -> dict[str, Any]:
    """Returns the options `padding` and `bn` of the backbone of a stream."""
    chosen = {key: options[key] for key in ("padding", "bn")}
    if name == "lq":
        own = {key: options[f"lq_{key}"] for key in chosen}
        chosen |= {key: value for key, value in own.items() if value != AUTO}
    return chosen


def find_backbones(options: Mapping[str, Any]) -> dict[str, BackbonePart]:
    """Returns the backbones of the streams."""
    found = {}
    for name in options["streams"]:
        prefix = "lq_" if name == "lq" else ""
        chosen = stream_conventions(options, name)
        found[name] = BackbonePart(
            part=f"{name}_backbone",
            name=options[name],
            padding_key=f"{prefix}padding",
            bn_key=f"{prefix}bn",
            **chosen,
        )
    return found


def check_options(options: Mapping[str, Any]) -> None:
    """Checks options that must be in a list of names or compatible with others.

    Raises:
        UsageError: A stream or backbone is unknown, streams are repeated or missing, a backbone
            does not support an option, or the numbers of layers and dropout rates of the classifier
            differ.
    """
    streams = options["streams"]
    for name in streams:
        if name not in STREAMS:
            raise unknown("stream", name, STREAMS)
    if not streams or len(set(streams)) != len(streams):
        raise UsageError(f"streams must be hq, lq or both, each once, not {streams}")
    for name in streams:
        conventions = stream_conventions(options, name)
        find_backbone(options[name], **conventions, scan_blocks=options["scan_blocks"])
    check_classifier(options["classifier"], options["dropout"])
