"""S1, S4: frames → one vector each → temporal module → pooling → classifier → one logit per clip.

`ClipDetector.__call__` is the chain, one method per link, and each link takes and gives plain
arrays. What is to change a link goes into that method, as one more option and one block from a file
of its own:

    _encode    clip → f32[B,T,D]: what is made of the maps of a frame (scales, spatial attention,
               frequencies), or of more streams than one
    _temporal  f32[B,T,D] → f32[B,T,E]: what looks along the clip (other cells, attention on or
               beside the states, gates, residuals)
    _pool      f32[B,T,E] → f32[B,E], and the weight of every frame where there is one
"""

from collections.abc import Mapping
from typing import Any

import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array, Bool, Float

from dfjax.errors import UsageError, unknown
from dfjax.models.backbones import backbone_channels, find_backbone, make_backbone
from dfjax.models.classifier import check_classifier, classify
from dfjax.models.frame_encoder import encode_frames
from dfjax.models.initializers import LECUN
from dfjax.models.layers import Compute, Dense
from dfjax.models.pooling import QueryAttention, TemporalAttention, last_state, masked_mean
from dfjax.models.recurrent import CELLS, Recurrent, check_cell
from dfjax.models.temporal_transformer import ACTIVATIONS, POSITIONS, Encoder, sinusoids

TEMPORAL = (*CELLS, "transformer", "none")
POOLING = ("mean", "query", "attention", "last")


class ClipDetector(nn.Module):
    """Clip detector: a vector per frame → temporal module → pooling → classifier.

    Attributes:
        features: width of stored features that are read in place of frames; 0: frames, through the
            backbone.
        backbone: a key of `BACKBONES`; of every frame the mean over the last map is taken.
        width: multiplies every width but that of stored features, for small models.
        one_block: one block per stage of the backbone.
        drop_path: stochastic depth of the backbone.
        padding: flavour of the backbone, see `dfjax.ops.padding`.
        base_train: False runs the backbone as in evaluation also in training: moving averages,
            which stay as they are, and no stochastic depth. Which of its parameters move is the
            optimiser's `freeze`.
        remat: recompute the backbone in the backward pass.
        projection: width to which a linear layer brings the vectors of the frames; 0: no layer.
        temporal: `lstm`, `gru`, `transformer` or `none`.
        layers: of the temporal module.
        hidden: width of a recurrent state, of one direction.
        bidirectional: recurrent layers read in both directions.
        layer_norm: of the LSTM's products and cell.
        peephole: the LSTM's gates see the cell.
        heads: of the Transformer, whose width is that of the vectors it reads.
        feed_forward: width between the Transformer's linear layers.
        positions: `sinusoidal`, `learned` (for the config's number of frames) or `none`, added to
            what the Transformer reads; they count from the first place of the clip, padding or not.
        norm_first: pre-norm or post-norm.
        activation: `gelu` or `relu`, of the Transformer.
        temporal_dropout: in the Transformer, or between recurrent layers.
        pooling: over frames: `mean`; `query`, weighted by the match with a learned query;
            `attention`, weighted by a linear score; `last`, the last state of either direction.
        classifier: hidden widths of the classifier.
        dropout: rate after each hidden layer of the classifier.
        temperature: outside training logits are divided by it.
        compute: dtype and lowering.
    """

    features: int = 0
    backbone: str = "b0"
    width: float = 1.0
    one_block: bool = False
    drop_path: float = 0.0
    padding: str = "auto"
    base_train: bool = True
    remat: bool = False
    projection: int = 0
    temporal: str = "lstm"
    layers: int = 1
    hidden: int = 256
    bidirectional: bool = True
    layer_norm: bool = False
    peephole: bool = False
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
    compute: Compute = Compute()

    @nn.compact
    def __call__(
        self, inputs: Mapping[str, Array], *, train: bool
    ) -> tuple[Float[Array, "B"], dict[str, Array]]:
        """Returns the logits (positive: fake) and the outputs below.

        Args:
            inputs: `mask` bool[B,T], and `features` f32[B,T,D] or normalised frames
                `rgb` f32[B,T,S,S,3]; what a frame outside the mask holds changes nothing, batch
                statistics included.
            train: batch statistics, dropout and stochastic depth, drawn from the stream `dropout`.

        Returns:
            f32[B]; and `features` f32[B,F], what the classifier reads, `frame_features` f32[B,T,F],
            what the pooling reads, and with attention `frame_attention` f32[B,T], the weight of
            every frame.
        """
        mask = inputs["mask"]
        frames = self._encode(inputs, mask, train=train)
        if self.projection:
            frames = Dense(_scaled(self.projection, self.width), name="projection")(frames)
        states = self._temporal(frames, mask, train=train)
        features, weights = self._pool(states, mask)
        widths = [_scaled(width, self.width) for width in self.classifier]
        logits = classify(features, widths, self.dropout, train=train)
        outputs = {"features": features, "frame_features": states} | weights
        return logits if train else logits / self.temperature, outputs

    def _encode(
        self, inputs: Mapping[str, Array], mask: Bool[Array, "B T"], *, train: bool
    ) -> Float[Array, "B T D"]:
        if self.features:
            # Whatever a padding frame holds, even NaN, must not reach a sum.
            return jnp.where(mask[..., None], inputs["features"], 0)
        network = make_backbone(
            self.backbone,
            width=self.width,
            one_block=self.one_block,
            drop_path=self.drop_path,
            padding=self.padding,
            compute=self.compute,
            module_name="backbone",
        )
        maps = encode_frames(
            network, inputs["rgb"], mask, train=train and self.base_train, remat=self.remat
        )["top"]
        return jnp.mean(maps.astype(jnp.float32), axis=(2, 3))

    def _temporal(
        self, x: Float[Array, "B T D"], mask: Bool[Array, "B T"], *, train: bool
    ) -> Float[Array, "B T E"]:
        if self.temporal == "none":
            return x
        if self.temporal == "transformer":
            encoder = Encoder(
                self.layers,
                self.heads,
                _scaled(self.feed_forward, self.width),
                self.norm_first,
                self.activation,
                self.temporal_dropout,
                self.compute,
                name="encoder",
            )
            return encoder(x + self._positions(x.shape[1], x.shape[2]), mask, train=train)
        recurrent = Recurrent(
            self.temporal,
            _scaled(self.hidden, self.width),
            self.layers,
            self.bidirectional,
            self.layer_norm,
            self.peephole,
            self.temporal_dropout,
            self.compute,
            name="recurrent",
        )
        return recurrent(x, mask, train=train)

    def _positions(self, length: int, width: int) -> Float[Array, "#T #D"]:
        if self.positions == "learned":
            return self.param("positions", LECUN, (length, width), jnp.float32)
        if self.positions == "sinusoidal":
            return jnp.asarray(sinusoids(length, width))
        return jnp.zeros((1, 1))

    def _pool(
        self, x: Float[Array, "B T E"], mask: Bool[Array, "B T"]
    ) -> tuple[Float[Array, "B E"], dict[str, Array]]:
        if self.pooling == "mean":
            return masked_mean(x, mask), {}
        if self.pooling == "last":
            both = self.temporal in CELLS and self.bidirectional
            return last_state(x, mask, bidirectional=both), {}
        kind = QueryAttention if self.pooling == "query" else TemporalAttention
        features, weights = kind(name="pooling")(x, mask)
        return features, {"frame_attention": weights}


def check_options(options: Mapping[str, Any]) -> None:
    """Checks the options that only make sense together or from a list.

    Raises:
        UsageError: an unknown name, a GRU with what only the LSTM has, heads that do not divide the
            Transformer's width, no layer, a temperature that is not positive, or not one dropout
            rate per layer of the classifier.
    """
    for key, valid in (
        ("temporal", TEMPORAL),
        ("pooling", POOLING),
        ("positions", POSITIONS),
        ("activation", ACTIVATIONS),
    ):
        if options[key] not in valid:
            raise unknown(key, options[key], valid)
    find_backbone(options["backbone"], options["padding"])
    check_classifier(options["classifier"], options["dropout"])
    if options["layers"] < 1:
        raise UsageError(f"layers is {options['layers']}; temporal=none leaves the module out")
    if options["temperature"] <= 0:
        raise UsageError(f"temperature must be positive, not {options['temperature']}")
    if options["temporal"] in CELLS:
        check_cell(
            options["temporal"], layer_norm=options["layer_norm"], peephole=options["peephole"]
        )
    if options["temporal"] == "transformer":
        width = frame_width(options)
        if width % options["heads"]:
            raise UsageError(f"{options['heads']} heads do not divide the width {width}")


def frame_width(options: Mapping[str, Any]) -> int:
    """Returns the width of the vectors that the temporal module reads."""
    if options["projection"]:
        return _scaled(options["projection"], options["width"])
    return options["features"] or backbone_channels(options["backbone"], options["width"])


def find_streams(options: Mapping[str, Any], size: int) -> dict[str, int]:
    """Returns the side of the image stream, of which there is none with stored features."""
    return {} if options["features"] else {"rgb": size}


def find_extras(options: Mapping[str, Any]) -> tuple[str, ...]:
    """Returns `features` where they are read in place of frames."""
    return ("features",) if options["features"] else ()


def _scaled(width: int, factor: float) -> int:
    return max(8, int(width * factor))
