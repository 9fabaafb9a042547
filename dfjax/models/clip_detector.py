"""Frames → one vector each → temporal module → pooling → classifier → one logit per clip.

`ClipDetector.__call__` is the chain, one method per link. Each link takes and returns plain arrays;
the blocks that options add are in files of their own.
"""

from collections.abc import Mapping

import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array, Bool, Float

from dfjax.models.backbones import make_backbone
from dfjax.models.classifier import classify_frames, make_classifier
from dfjax.models.clip_options import CONV_LSTM, RECURRENT, scaled, stream_names
from dfjax.models.conv_lstm import ConvRecurrent
from dfjax.models.embedding import embed
from dfjax.models.frame_encoder import Encoded
from dfjax.models.frequency import FrequencyCNN
from dfjax.models.fusion import AttendTo, Join, Pathway, mix_pathways, weigh_views
from dfjax.models.initializers import LECUN
from dfjax.models.layers import Compute, Dense
from dfjax.models.multiscale import Pyramid, ScaleAttention, SpatialAttention, see_frames
from dfjax.models.pooling import QueryAttention, TemporalAttention, last_state, masked_mean
from dfjax.models.recurrent import Recurrent
from dfjax.models.temporal_transformer import Encoder, sinusoids


class ClipDetector(nn.Module):
    """Clip detector: a vector per frame → temporal module → pooling → classifier.

    Attributes:
        features: Width of stored features that replace the frames; 0: frames, through the backbone.
        backbone: Key of `BACKBONES` or an import path; the features of a frame are the mean over
            its last map.
        width: Factor of every width but that of stored features, for small models.
        one_block: Whether the backbone has one block per stage, for small models.
        drop_path: Stochastic depth of the backbone.
        padding: Flavour of the backbone, see `dfjax.ops.padding`.
        base_train: Whether the backbone is in training mode during training. False: it uses its
            moving averages, which stay as they are, and no stochastic depth. Which of its
            parameters are trained is up to `optimizer.freeze`.
        remat: Whether the backward pass computes the backbone again instead of storing its maps.
        pyramid: Channels of each level of a feature pyramid, whose means replace that of the last
            map; 0: no pyramid.
        spatial_attention: Whether a gate weighs every cell of the last map.
        scales: Sides of the frames, each of which is seen at every one; empty: a single scale.
        frequency: `dct` or `fft`, the transform whose spectrum of every frame is a second stream
            beside the backbone; or `none`.
        frequency_channels: Channels of the convolutions of that stream.
        projection: Width of a linear layer on the features of every frame; 0: no layer.
        temporal: `lstm`, `gru`, `conv_lstm` (over the last maps), `transformer` or `none`.
        layers: Number of layers of the temporal module.
        hidden: Width of a recurrent state of one direction.
        bidirectional: Whether recurrent layers read the clip in both directions.
        layer_norm: Whether the LSTM normalises its products and its cell.
        peephole: Whether the LSTM's gates read the cell.
        cross_attention: Whether attention from the states to the features of all frames follows.
        self_attention: Whether attention among the states follows.
        join: How the input of the temporal module is combined with its states: `residual`, a
            projection of it is added; `gate`, a learned gate mixes the two; or `none`.
        dual_pathway: Whether a Transformer runs parallel to the recurrence; the pooled vectors of
            the two are averaged with learned weights.
        heads: Heads of the Transformer, whose width is that of its input, and of all attention.
        feed_forward: Width between the Transformer's linear layers.
        positions: `sinusoidal`, `learned` (for the config's number of frames) or `none`: position
            encodings added to the Transformer's input, counted from the first frame of the clip,
            padding included.
        norm_first: Whether the Transformer is pre-norm; otherwise it is post-norm.
        activation: `gelu` or `relu`, of the Transformer.
        temporal_dropout: Rate of dropout in the Transformer, or between recurrent layers.
        pooling: Pooling over frames: `mean`; `query`, weighted by the match with a learned query;
            `attention`, weighted by a linear score; `last`, the last state of either direction.
        classifier: Widths of the classifier's hidden layers.
        dropout: Rate after each hidden layer of the classifier.
        temperature: Divisor of the logits outside training.
        embedding: Width of a projection head for contrastive pre-training, 128 in Khosla et al.
            (2020); 0: none.
        compute: Dtype and lowering.
    """

    features: int = 0
    backbone: str = "b0"
    width: float = 1.0
    one_block: bool = False
    drop_path: float = 0.0
    padding: str = "auto"
    base_train: bool = True
    remat: bool = False
    pyramid: int = 0
    spatial_attention: bool = False
    scales: tuple[int, ...] = ()
    frequency: str = "none"
    frequency_channels: tuple[int, ...] = (32, 64, 128)
    projection: int = 0
    temporal: str = "lstm"
    layers: int = 1
    hidden: int = 256
    bidirectional: bool = True
    layer_norm: bool = False
    peephole: bool = False
    cross_attention: bool = False
    self_attention: bool = False
    join: str = "none"
    dual_pathway: bool = False
    heads: int = 4
    feed_forward: int = 512
    positions: str = "sinusoidal"
    norm_first: bool = True
    activation: str = "gelu"
    temporal_dropout: float = 0.0
    pooling: str = "mean"
    classifier: tuple[int, ...] = ()
    dropout: tuple[float, ...] = ()
    temperature: float = 1.0
    embedding: int = 0
    compute: Compute = Compute()

    @nn.compact
    def __call__(
        self, inputs: Mapping[str, Array], *, train: bool
    ) -> tuple[Float[Array, "B"], dict[str, Array]]:
        """Returns the logits (positive: fake) and the outputs below.

        Args:
            inputs: `mask` bool[B,T], and `features` f32[B,T,D] or normalised frames
                `rgb` f32[B,T,S,S,3], with `scales` also `rgb_224` … for each smaller one. Frames
                outside the mask have no effect, not even on batch statistics.
            train: Whether batch statistics, dropout and stochastic depth are those of training;
                the latter two draw from the stream `dropout`.

        Returns:
            f32[B]; and `features` f32[B,F], what the classifier reads, `frame_features` f32[B,T,F],
            what the pooling reads, `frame_logits` f32[B,T], the classifier on these without
            dropout, 0 outside the mask, and with attention `frame_attention` f32[B,T], the weight
            of every frame. With two pathways `stream_weights` f32[B,2], of the recurrent one and of
            the other; with scales `scale_weights` f32[B,T,S], the largest first; with a projection
            head `embedding` f32[B,E].
        """
        mask = inputs["mask"]
        frames, maps, outputs = self._encode(inputs, mask, train=train)
        if self.projection:
            frames = Dense(scaled(self.projection, self.width), name="projection")(frames)
        states = self._temporal(frames, maps, mask, train=train)
        states = self._attend(states, frames, mask, train=train)
        both = self.temporal in RECURRENT and self.bidirectional
        path = self._pool(states, mask, "pooling", bidirectional=both)
        if self.dual_pathway:
            path, outputs["stream_weights"] = self._add_pathway(path, frames, mask, train=train)
        outputs |= {"features": path.vector, "frame_features": path.states}
        if path.attention is not None:
            outputs["frame_attention"] = path.attention
        widths = [scaled(width, self.width) for width in self.classifier]
        classify = make_classifier(widths, self.dropout)
        temperature = 1.0 if train else self.temperature
        logits = classify(path.vector, train=train) / temperature
        if self.embedding:
            outputs["embedding"] = embed(path.vector, self.embedding)
        if not self.is_initializing():  # a layer called twice would draw its parameters twice
            outputs["frame_logits"] = classify_frames(classify, path.states, mask) / temperature
        return logits, outputs

    def _encode(
        self, inputs: Mapping[str, Array], mask: Bool[Array, "B T"], *, train: bool
    ) -> Encoded:
        if self.features:
            # Whatever a padding frame holds, even NaN, must not reach a sum.
            return Encoded(jnp.where(mask[..., None], inputs["features"], 0), None, {})
        network = make_backbone(
            self.backbone,
            width=self.width,
            one_block=self.one_block,
            drop_path=self.drop_path,
            padding=self.padding,
            compute=self.compute,
            module_name="backbone",
        )
        channels = scaled(self.pyramid, self.width)
        pyramid = Pyramid(channels, self.compute, name="pyramid") if self.pyramid else None
        gate = SpatialAttention(self.compute, name="spatial") if self.spatial_attention else None
        outputs: dict[str, Array] = {}
        views = [
            see_frames(
                network,
                inputs[name],
                mask,
                gate=gate,
                pyramid=pyramid,
                train=train and self.base_train,
                remat=self.remat,
            )
            for name in stream_names(self.scales)
        ]
        vectors, maps = views[0]
        if len(views) > 1:
            vectors, outputs["scale_weights"] = ScaleAttention(name="scales")(
                [vectors for vectors, _ in views]
            )
        if self.frequency != "none":
            widths = tuple(scaled(width, self.width) for width in self.frequency_channels)
            stream = FrequencyCNN(self.frequency, widths, self.compute, name="frequency")
            seen = stream(inputs["rgb"], mask, train=train)
            vectors = jnp.concatenate([vectors, seen], axis=-1)
        return Encoded(vectors, maps, outputs)

    def _temporal(
        self,
        x: Float[Array, "B T D"],
        maps: Float[Array, "B T h w C"] | None,
        mask: Bool[Array, "B T"],
        *,
        train: bool,
    ) -> Float[Array, "B T E"]:
        if self.temporal == "none":
            return x
        if self.temporal == "transformer":
            return self._encoder(x, mask, train=train)
        hidden = scaled(self.hidden, self.width)
        if self.temporal == CONV_LSTM:
            recurrent = ConvRecurrent(
                hidden,
                self.layers,
                self.bidirectional,
                self.temporal_dropout,
                self.remat,
                self.compute,
                name="conv_recurrent",
            )
            assert maps is not None, "check_options refuses stored features here"
            return recurrent(maps, mask, train=train)
        return Recurrent(
            self.temporal,
            hidden,
            self.layers,
            self.bidirectional,
            self.layer_norm,
            self.peephole,
            self.temporal_dropout,
            self.compute,
            name="recurrent",
        )(x, mask, train=train)

    def _encoder(
        self, x: Float[Array, "B T D"], mask: Bool[Array, "B T"], *, train: bool
    ) -> Float[Array, "B T D"]:
        encoder = Encoder(
            self.layers,
            self.heads,
            scaled(self.feed_forward, self.width),
            self.norm_first,
            self.activation,
            self.temporal_dropout,
            self.compute,
            name="encoder",
        )
        return encoder(x + self._positions(x.shape[1], x.shape[2]), mask, train=train)

    def _attend(
        self, states: Array, frames: Array, mask: Bool[Array, "B T"], *, train: bool
    ) -> Float[Array, "B T E"]:
        """The states after cross-attention, self-attention and the join with the features."""
        if self.cross_attention:
            attend = AttendTo(self.heads, self.temporal_dropout, self.compute, name="cross")
            states = attend(states, frames, mask, train=train)
        if self.self_attention:
            attend = AttendTo(self.heads, self.temporal_dropout, self.compute, name="self")
            states = attend(states, states, mask, train=train)
        return states if self.join == "none" else Join(self.join, name="join")(states, frames)

    def _add_pathway(
        self, path: Pathway, frames: Array, mask: Bool[Array, "B T"], *, train: bool
    ) -> tuple[Pathway, Float[Array, "B 2"]]:
        """The weighted mean of the recurrent pathway and a Transformer's, and the weights."""
        states = self._encoder(frames, mask, train=train)
        states = Dense(path.states.shape[-1], name="encoder_projection")(states)
        other = self._pool(states, mask, "encoder_pooling", bidirectional=False)
        hidden = scaled(self.hidden, self.width)
        weights = weigh_views([path.vector, other.vector], hidden, prefix="pathway")
        return mix_pathways(path, other, weights), weights

    def _positions(self, length: int, width: int) -> Float[Array, "#T #D"]:
        if self.positions == "learned":
            return self.param("positions", LECUN, (length, width), jnp.float32)
        if self.positions == "sinusoidal":
            return jnp.asarray(sinusoids(length, width))
        return jnp.zeros((1, 1))

    def _pool(
        self, x: Float[Array, "B T E"], mask: Bool[Array, "B T"], name: str, *, bidirectional: bool
    ) -> Pathway:
        if self.pooling == "mean":
            return Pathway(x, masked_mean(x, mask), None)
        if self.pooling == "last":
            return Pathway(x, last_state(x, mask, bidirectional=bidirectional), None)
        kind = QueryAttention if self.pooling == "query" else TemporalAttention
        return Pathway(x, *kind(name=name)(x, mask))
