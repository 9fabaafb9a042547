"""The clip detector: feature vectors of frames → temporal module → pooling → classifier.

`ClipDetector.__call__` calls one method for each of these steps. The blocks that options add are in
other modules.
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
from dfjax.models.multiscale import Pyramid, ScaleAttention, SpatialAttention, encode_vectors
from dfjax.models.pooling import QueryAttention, TemporalAttention, last_state, masked_mean
from dfjax.models.recurrent import Recurrent
from dfjax.models.temporal_transformer import Encoder, sinusoids


class ClipDetector(nn.Module):
    """Clip detector: feature vectors of frames → temporal module → pooling → classifier.

    Attributes:
        features: Width of stored features, which replace frames and backbone; 0 for frames.
        backbone: Key of `BACKBONES` or an import path. The features of a frame are the mean over
            the last map.
        width: Factor of all widths except that of stored features, for small models.
        one_block: Whether each stage of the backbone has a single block, for small models.
        drop_path: Stochastic depth rate of the backbone.
        padding: Padding rule of the backbone (see `dfjax.ops.padding`).
        bn: Constants of its batch normalisation (see `bn_constants`); `auto` is its own.
        base_train: Whether the backbone is in training mode during training. Otherwise it uses its
            running statistics, which are not updated, and no stochastic depth. Its parameters are
            trained in either case, unless `optimizer.freeze` freezes them.
        scan_blocks: Whether the blocks of a vision transformer are compiled once for all, and the
            backward pass recomputes each from its input, which `remat` then need not do.
        remat: What the backward pass recomputes instead of keeping it: none, block (all but the
            outputs of blocks) or all (see `dfjax.models.remat`).
        pyramid: Number of channels of each level of a feature pyramid, whose means replace the mean
            over the last map; 0 for no pyramid.
        spatial_attention: Whether every cell of the last map is multiplied by a gate.
        scales: Sides of the frames; every frame is encoded at each. Empty for a single scale.
        frequency: Transform (`dct` or `fft`) of the frames whose spectrum is a second stream
            besides the backbone, or `none`.
        frequency_channels: Numbers of channels of the convolutions of this stream.
        projection: Width of a linear layer on the features of every frame; 0 for no layer.
        temporal: `lstm`, `gru`, `conv_lstm` (over the last maps), `transformer` or `none`.
        layers: Number of layers of the temporal module.
        hidden: Width of the recurrent state of one direction.
        bidirectional: Whether recurrent layers read the clip in both directions.
        layer_norm: Whether the LSTM has layer normalisation (see `recurrent.LSTM`).
        peephole: Whether the LSTM has peephole connections.
        cross_attention: Whether attention from the states to the features of frames is added.
        self_attention: Whether self-attention of the states is added.
        join: How features are added to the states: `residual`, `gate` (see `Join`) or `none`.
        dual_pathway: Whether a Transformer runs parallel to the recurrence; the pooled vectors of
            the two are averaged with learned weights.
        heads: Number of heads of the Transformer and of all attention.
        feed_forward: Hidden width of the feed-forward networks of the Transformer.
        positions: Position encodings of the Transformer: `sinusoidal`, `learned` (for the number of
            frames in the config) or `none`. Positions count from the first frame of the clip,
            padding included.
        norm_first: Whether the Transformer is pre-norm instead of post-norm.
        activation: Activation of the Transformer, `gelu` or `relu`.
        temporal_dropout: Dropout rate of the Transformer, or between recurrent layers.
        pooling: Pooling over frames: `mean`, `query` (`QueryAttention`), `attention`
            (`TemporalAttention`) or `last` (the last state of each direction).
        classifier: Widths of the hidden layers of the classifier.
        dropout: Dropout rates after the hidden layers of the classifier.
        temperature: Divisor of the logits outside training.
        embedding: Width of a projection head for contrastive pre-training, 128 in Khosla et al.
            (2020); 0 for no head.
        compute: Dtype and lowering.
    """

    features: int = 0
    backbone: str = "b0"
    width: float = 1.0
    one_block: bool = False
    drop_path: float = 0.0
    padding: str = "auto"
    bn: str = "auto"
    base_train: bool = True
    scan_blocks: bool = False
    remat: str = "none"
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
            train: Whether to use the statistics of the batch, dropout and stochastic depth. The
                random stream of the latter two is `dropout`.

        Returns:
            Logits f32[B], and a dict of outputs: `features` f32[B,F], the input of the classifier;
            `frame_features` f32[B,T,F], the input of the pooling; `frame_logits` f32[B,T], the
            classifier applied to these without dropout, 0 outside the mask; `frame_attention`
            f32[B,T] if the pooling has weights; `stream_weights` f32[B,2] with two pathways, the
            recurrent one first; `scale_weights` f32[B,T,S] with several scales, the largest first;
            `embedding` f32[B,E] with a projection head.
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
        if not self.is_initializing():  # a second call would draw the parameters again
            outputs["frame_logits"] = classify_frames(classify, path.states, mask) / temperature
        return logits, outputs

    def _encode(
        self, inputs: Mapping[str, Array], mask: Bool[Array, "B T"], *, train: bool
    ) -> Encoded:
        if self.features:
            # Padding frames may hold anything, even NaN, which must not reach a sum.
            return Encoded(jnp.where(mask[..., None], inputs["features"], 0), None, {})
        network = make_backbone(
            self.backbone, width=self.width, one_block=self.one_block, drop_path=self.drop_path,
            padding=self.padding, bn=self.bn, scan_blocks=self.scan_blocks, compute=self.compute,
            module_name="backbone",
        )  # fmt: skip
        channels = scaled(self.pyramid, self.width)
        pyramid = Pyramid(channels, self.compute, name="pyramid") if self.pyramid else None
        gate = SpatialAttention(self.compute, name="spatial") if self.spatial_attention else None
        outputs: dict[str, Array] = {}
        views = [
            encode_vectors(
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
            spectral = stream(inputs["rgb"], mask, train=train)
            vectors = jnp.concatenate([vectors, spectral], axis=-1)
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
                self.remat != "none",
                self.compute,
                name="conv_recurrent",
            )
            assert maps is not None, "check_options raises an error for stored features"
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
        """Returns the states after cross-attention, self-attention and join, where these are on."""
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
        """Returns the weighted mean of the recurrent and a Transformer pathway, and the weights."""
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
