"""Multi-scale modules: feature pyramid, spatial attention and attention over input scales."""

from collections.abc import Mapping, Sequence

import jax
import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array, Bool, Float

from dfjax.models.frame_encoder import encode_frames
from dfjax.models.layers import Compute, Conv
from dfjax.models.pooling import TemporalAttention
from dfjax.ops.padding import Padding
from dfjax.ops.resize import resize

LEVELS = 3
AROUND: Padding = ((1, 1), (1, 1))
WIDE_AROUND: Padding = ((3, 3), (3, 3))


class Pyramid(nn.Module):
    """Feature pyramid network (Lin et al., 2017), averaged over the map of every level.

    A 1 x 1 convolution gives every level the same number of channels. From the top down, each level
    is upsampled and added to the next larger one. A 3 x 3 convolution follows on each sum.

    Attributes:
        channels: Number of channels of every level.
        compute: Dtype and lowering.
    """

    channels: int
    compute: Compute = Compute()

    @nn.compact
    def __call__(self, maps: Mapping[str, Float[Array, "B T _ _ _"]]) -> Float[Array, "B T d"]:
        """Returns the means over the maps of all levels, concatenated, the smallest level first.

        Args:
            maps: Feature maps of different sizes, by name.
        """
        b, t = next(iter(maps.values())).shape[:2]
        vectors = []
        above: Array | None = None
        for name in sorted(maps, key=lambda name: maps[name].shape[2]):
            level = maps[name].reshape(b * t, *maps[name].shape[2:])
            level = self._conv(1, ((0, 0), (0, 0)), f"{name}_lateral")(level)
            if above is not None:
                level += resize(above, (level.shape[1], level.shape[2]), antialias=False)
            above = level
            smooth = self._conv(3, AROUND, f"{name}_smooth")(level)
            vectors.append(jnp.mean(smooth.astype(jnp.float32), axis=(1, 2)))
        return jnp.concatenate(vectors, axis=-1).reshape(b, t, -1)

    @nn.nowrap
    def _conv(self, size: int, padding: Padding, name: str) -> Conv:
        return Conv(
            self.channels, size, padding=padding, use_bias=True, compute=self.compute, name=name
        )


class SpatialAttention(nn.Module):
    """Spatial attention of CBAM (Woo et al., 2018): a gate in (0, 1) for every cell of a map.

    The gate is computed by a 7 x 7 convolution of the mean and the maximum over channels.

    Attributes:
        compute: Dtype and lowering.
    """

    compute: Compute = Compute()

    @nn.compact
    def __call__(self, maps: Float[Array, "B T h w c"]) -> Float[Array, "B T h w c"]:
        """Returns the maps with every cell multiplied by its gate."""
        b, t, h, w, _ = maps.shape
        pooled = jnp.stack([jnp.mean(maps, axis=-1), jnp.max(maps, axis=-1)], axis=-1)
        score = Conv(1, 7, padding=WIDE_AROUND, use_bias=True, compute=self.compute, name="score")(
            pooled.reshape(b * t, h, w, 2)
        )
        return maps * jax.nn.sigmoid(score).reshape(b, t, h, w, 1)


class ScaleAttention(nn.Module):
    """Mean over the input scales of a frame, weighted by a linear score and a softmax."""

    @nn.compact
    def __call__(
        self, vectors: Sequence[Float[Array, "B T D"]]
    ) -> tuple[Float[Array, "B T D"], Float[Array, "B T S"]]:
        """Returns the weighted mean and the weight of every scale in each frame.

        Args:
            vectors: Features of all frames, one array per scale.
        """
        b, t, width = vectors[0].shape
        views = jnp.stack(vectors, axis=2).reshape(b * t, len(vectors), width)
        everything = jnp.ones(views.shape[:2], bool)
        mean, weights = TemporalAttention(name="attention")(views, everything)
        return mean.reshape(b, t, width), weights.reshape(b, t, -1)


def encode_vectors(
    network: nn.Module,
    clip: Float[Array, "B T H W 3"],
    mask: Bool[Array, "B T"],
    *,
    gate: SpatialAttention | None,
    pyramid: Pyramid | None,
    train: bool,
    remat: str,
) -> tuple[Float[Array, "B T D"], Float[Array, "B T h w c"]]:
    """Returns a feature vector for every frame, and the last feature maps.

    Without a pyramid, the vector is the mean over the last map.

    Args:
        network: Backbone (see `encode_frames`).
        clip: Normalised frames.
        mask: Which frames are valid.
        gate: Spatial attention applied to the last maps, or None.
        pyramid: Feature pyramid that computes the vectors, or None.
        train: Whether the backbone runs in training mode.
        remat: What the backward pass recomputes (see `dfjax.models.remat`).
    """
    levels = LEVELS if pyramid else 1
    maps = encode_frames(network, clip, mask, train=train, levels=levels, remat=remat)
    if gate:
        maps["top"] = gate(maps["top"])
    vectors = pyramid(maps) if pyramid else jnp.mean(maps["top"].astype(jnp.float32), axis=(2, 3))
    return vectors, maps["top"]
