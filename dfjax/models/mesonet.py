"""MesoNet (Afchar et al., 2018): small detectors of single frames, Meso4 and MesoInception4.

Their parts have the order of the published Keras models: convolution with bias, ReLU, batch
normalisation, max pooling. The published models return the probability that a frame is *real*; the
logits here are positive for fakes, so that imported weights have a negated last layer.
"""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array, Bool, Float

from dfjax.errors import UsageError
from dfjax.models.bn_constants import parse_bn
from dfjax.models.layers import TF_BN, BatchNorm, Compute, Conv, Dense, Dropout
from dfjax.models.pooling import masked_mean
from dfjax.ops.pool import max_pool

SIDE = 32
"""The side of the frames must be a multiple of this, so that no pooling has incomplete windows."""

HIDDEN = 16
SLOPE = 0.1  # of the leaky ReLU below 0


class Meso4(nn.Module):
    """Frame detector: four convolutions with poolings, one hidden layer, a logit per frame.

    The logit of a clip is the mean over its valid frames. The hidden layer reads the flattened
    maps, so that the parameters depend on the size of the frames (256 px as published).

    Attributes:
        classes: Number of outputs: 1 for the logit itself, or 2 for real and fake, whose difference
            is the logit.
        bn: Constants of batch normalisation (see `bn_constants`); `auto` is Keras'.
        dropout: Dropout rates of the flattened maps and of the hidden layer.
        compute: Dtype and lowering.
    """

    classes: int = 1
    bn: str = "auto"
    dropout: tuple[float, ...] = (0.5, 0.5)
    compute: Compute = Compute()

    @nn.compact
    def __call__(
        self, inputs: Mapping[str, Array], *, train: bool
    ) -> tuple[Float[Array, "B"], dict[str, Array]]:
        """Returns the logits (positive: fake) and the outputs below.

        Args:
            inputs: `rgb` f32[B,T,S,S,3], frames with values in [0, 1], and `mask` bool[B,T]. Frames
                outside the mask have no effect, not even on batch statistics.
            train: Whether to use the statistics of the batch and dropout, whose random stream is
                `dropout`.

        Returns:
            Logits f32[B], and a dict of outputs: `features` f32[B,16], the mean over frames of the
            hidden layer; `frame_logits` f32[B,T], 0 outside the mask; `class_logits` f32[B,2] with
            two classes.

        Raises:
            UsageError: The side of the frames is not a multiple of 32.
        """
        mask, clip = inputs["mask"], inputs["rgb"]
        b, t, *image = clip.shape
        if image[0] % SIDE or image[1] % SIDE:
            raise UsageError(
                f"the frames of MesoNet have a side that is a multiple of {SIDE} px, not {image[0]}"
            )
        # Padding frames may hold anything, even NaN, which must not reach a sum.
        x = jnp.where(mask[:, :, None, None, None], clip, 0).reshape(b * t, *image)
        x = self._encode(x, mask.reshape(b * t), train=train)
        x = x.reshape(b * t, -1).astype(jnp.float32)
        x = Dropout(self.dropout[0], name="input_dropout")(x, train=train)
        x = jax.nn.leaky_relu(Dense(HIDDEN, name="hidden")(x), SLOPE)
        outputs = {"features": masked_mean(x.reshape(b, t, HIDDEN), mask)}
        x = Dropout(self.dropout[1], name="hidden_dropout")(x, train=train)
        scores = Dense(self.classes, name="logits")(x)
        frame_logits = scores[:, 0] if self.classes == 1 else scores[:, 1] - scores[:, 0]
        outputs["frame_logits"] = jnp.where(mask, frame_logits.reshape(b, t), 0)
        if self.classes == 2:
            outputs["class_logits"] = masked_mean(scores.reshape(b, t, 2), mask)
        return masked_mean(outputs["frame_logits"][..., None], mask)[:, 0], outputs

    def _encode(
        self, x: Float[Array, "n h w 3"], mask: Bool[Array, "n"], *, train: bool
    ) -> Float[Array, "n p q 16"]:
        """Returns the last maps, whose sides are those of the frames divided by 32."""
        x = self._stage(x, mask, 1, 8, 3, train=train)
        x = self._stage(x, mask, 2, 8, 5, train=train)
        return self._last_stages(x, mask, train=train)

    def _last_stages(self, x: Array, mask: Array, *, train: bool) -> Array:
        x = self._stage(x, mask, 3, 16, 5, train=train)
        x = self._stage(x, mask, 4, 16, 5, train=train)
        return self._pool(x)

    def _stage(
        self, x: Array, mask: Array, number: int, features: int, kernel: int, *, train: bool
    ) -> Array:
        x = _convolve(x, features, kernel, self.compute, name=f"conv{number}")
        return self._finish(x, mask, number, train=train)

    def _finish(self, x: Array, mask: Array, number: int, *, train: bool) -> Array:
        constants = parse_bn(self.bn) or TF_BN
        return self._pool(BatchNorm(constants, name=f"bn{number}")(x, mask, train=train))

    def _pool(self, x: Array) -> Array:
        return max_pool(x, lowering=self.compute.lowering)


class Inception(nn.Module):
    """Four parallel branches of convolutions whose maps are concatenated.

    Branch 1 is a 1 x 1 convolution; branch k is a 1 x 1 and a 3 x 3 convolution with dilation
    k - 1.

    Attributes:
        widths: Numbers of channels of the branches.
        relu: Whether a ReLU follows every convolution.
        compute: Dtype and lowering.
    """

    widths: tuple[int, int, int, int]
    relu: bool
    compute: Compute

    @nn.compact
    def __call__(self, x: Float[Array, "n h w i"]) -> Float[Array, "n h w o"]:
        """Returns the concatenated maps."""
        branches = []
        for number, width in enumerate(self.widths, 1):
            branch = _convolve(
                x, width, 1, self.compute, name=f"branch{number}_conv1", relu=self.relu
            )
            if number > 1:
                branch = _convolve(
                    branch,
                    width,
                    3,
                    self.compute,
                    name=f"branch{number}_conv2",
                    dilation=number - 1,
                    relu=self.relu,
                )
            branches.append(branch)
        return jnp.concatenate(branches, axis=-1)


class MesoInception4(Meso4):
    """`Meso4` with an `Inception` module in place of each of the first two convolutions.

    Attributes:
        inception_relu: Whether the `Inception` modules have ReLUs, as published. DeepfakeBench's
            have none.
    """

    inception_relu: bool = True

    def _encode(
        self, x: Float[Array, "n h w 3"], mask: Bool[Array, "n"], *, train: bool
    ) -> Float[Array, "n p q 16"]:
        for number, widths in enumerate(((1, 4, 4, 2), (2, 4, 4, 2)), 1):
            x = Inception(widths, self.inception_relu, self.compute, name=f"inception{number}")(x)
            x = self._finish(x, mask, number, train=train)
        return self._last_stages(x, mask, train=train)


def _convolve(
    x: Array,
    features: int,
    kernel: int,
    compute: Compute,
    *,
    name: str,
    dilation: int = 1,
    relu: bool = True,
) -> Array:
    """Returns a convolution with bias that keeps the size of the map, by default with a ReLU."""
    around = dilation * (kernel // 2)
    layer = Conv(
        features,
        kernel,
        padding=((around, around),) * 2,
        dilation=dilation,
        use_bias=True,
        compute=compute,
        name=name,
    )
    return jax.nn.relu(layer(x)) if relu else layer(x)


def check_options(options: Mapping[str, Any]) -> None:
    """Checks the options of both models.

    Raises:
        UsageError: The constants of batch normalisation, or a number of classes or dropout rates is
            invalid.
    """
    parse_bn(options["bn"])
    if options["classes"] not in (1, 2):
        raise UsageError(
            f"classes must be 1 (one logit) or 2 (real, fake), not {options['classes']}"
        )
    if len(options["dropout"]) != 2:
        raise UsageError(f"dropout must be two rates, not {options['dropout']}")
