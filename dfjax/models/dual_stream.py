"""S0A: two EfficientNet streams of one clip, a ConvLSTM over their maps, attention fusion."""

import functools
from collections.abc import Mapping
from typing import NamedTuple

import jax
import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array, Bool, Float

from dfjax.errors import UsageError, unknown
from dfjax.models.conv_lstm import ConvLSTM
from dfjax.models.efficientnet import EfficientNet
from dfjax.models.initializers import LECUN
from dfjax.models.layers import Compute, Dropout
from dfjax.ops.resize import resize

STREAMS = ("hq", "lq")
Dense = functools.partial(nn.Dense, kernel_init=LECUN)


class DualStream(nn.Module):
    """Clip detector: backbones → ConvLSTM and attention fusion → one logit per clip.

    Attributes:
        streams: `hq` (the frames), `lq` (the same frames down-sampled on device), or both.
        hq: EfficientNet of the first stream.
        lq: EfficientNet of the second one.
        lq_size: side of the second stream's frames; other sizes are refused.
        width: multiplies every width, for small models.
        one_block: one block per stage of the backbones.
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
    hq: str = "b4"
    lq: str = "b0"
    lq_size: int = 112
    width: float = 1.0
    one_block: bool = False
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
            inputs: normalised frames f32[B,T,S,S,3] under each stream's name, and `mask` bool[B,T];
                a frame outside the mask changes nothing, batch statistics included.
            train: batch statistics, dropout and stochastic depth, drawn from the stream `dropout`.

        Returns:
            f32[B]; and `features` f32[B,F], fused and temporal, what the classifier reads, with
            `stream_weights` f32[B,2] when there are two streams.
        """
        mask = inputs["mask"]
        views = {name: self._stream(name, inputs[name], mask, train=train) for name in self.streams}
        temporal = self._temporal([view.maps for view in views.values()], mask)
        outputs = {}
        vectors = [self._project(name, view.vector) for name, view in views.items()]
        if len(vectors) == 2:
            weights = self._stream_weights(vectors)
            outputs["stream_weights"] = weights
            fused = jnp.einsum("sbd,bs->bd", jnp.stack(vectors), weights)
        else:
            fused = vectors[0]
        features = jnp.concatenate([fused, temporal], axis=-1)
        outputs["features"] = features
        return self._classify(features, train=train), outputs

    def _stream(self, name: str, clip: Array, mask: Array, *, train: bool) -> "View":
        b, t, *image = clip.shape
        if name == "lq" and image[0] != self.lq_size:
            raise UsageError(f"stream lq has frames of {image[0]} px, lq_size is {self.lq_size}")
        # Whatever a padding frame holds, even NaN, must not reach a sum.
        frames = jnp.where(mask[:, :, None, None, None], clip, 0).reshape(b * t, *image)
        network = EfficientNet(
            getattr(self, name),
            width=self.width,
            one_block=self.one_block,
            padding=self.padding,
            drop_path=self.drop_path,
            compute=self.compute,
            name=f"{name}_backbone",
        )

        def top(network: EfficientNet, frames: Array, valid: Array) -> Array:
            return network(frames, valid, train=train)["top"]

        run = nn.remat(top) if self.remat else top
        maps = run(network, frames, mask.reshape(b * t))
        pooled = jnp.mean(maps.astype(jnp.float32), axis=(1, 2)).reshape(b, t, -1)
        return View(maps.reshape(b, t, *maps.shape[1:]), masked_mean(pooled, mask))

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
            return vector  # the write-up projects the wide stream to the width of the narrow one
        return Dense(width, name=f"{name}_projection")(vector)

    def _stream_weights(self, vectors: list[Array]) -> Array:
        x = jnp.concatenate(vectors, axis=-1)
        x = jax.nn.relu(Dense(self._scaled(self.attention), name="attention_hidden")(x))
        return jax.nn.softmax(Dense(len(vectors), name="attention_weights")(x))

    def _classify(self, x: Array, *, train: bool) -> Array:
        for number, (width, rate) in enumerate(zip(self.classifier, self.dropout, strict=True), 1):
            x = jax.nn.relu(Dense(self._scaled(width), name=f"classifier_hidden{number}")(x))
            x = Dropout(rate, name=f"classifier_dropout{number}")(x, train=train)
        return Dense(1, name="classifier_logit")(x)[:, 0]

    def _scaled(self, width: int) -> int:
        return max(8, int(width * self.width))


class View(NamedTuple):
    """One stream's features: maps [B,T,h,w,C] and their mean over valid frames, f32[B,C]."""

    maps: Array
    vector: Array


def masked_mean(x: Float[Array, "B T D"], mask: Bool[Array, "B T"]) -> Float[Array, "B D"]:
    """Returns the mean of `x` over the valid frames of each clip; zeros where there is none."""
    weight = mask.astype(x.dtype)
    return jnp.einsum("btd,bt->bd", x, weight) / jnp.maximum(weight.sum(1), 1)[:, None]


def check_options(streams: tuple[str, ...], classifier: tuple, dropout: tuple) -> None:
    """Checks the options that only make sense together.

    Raises:
        UsageError: an unknown, repeated or missing stream, or not one dropout rate per layer.
    """
    for name in streams:
        if name not in STREAMS:
            raise unknown("stream", name, STREAMS)
    if not streams or len(set(streams)) != len(streams):
        raise UsageError(f"streams is {streams}; give hq, lq or both, each once")
    if len(classifier) != len(dropout):
        raise UsageError(f"{len(classifier)} classifier layers but {len(dropout)} dropout rates")
