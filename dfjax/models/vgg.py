"""VGG16 (Simonyan and Zisserman, 2015) as a feature extractor."""

import jax
from flax import linen as nn
from jaxtyping import Array, Bool, Float

from dfjax.models.efficientnet import scaled_channels
from dfjax.models.layers import Compute, Conv
from dfjax.ops.pool import max_pool

STAGES = ((2, 64), (2, 128), (3, 256), (3, 512), (3, 512))
"""Number of convolutions and of channels of every stage."""

AROUND = ((1, 1), (1, 1))


def vgg_channels(width: float = 1.0) -> int:
    """Returns the number of channels of the last feature map, 512 times `width`."""
    return scaled_channels(STAGES[-1][1], width)


class VGG16(nn.Module):
    """Feature extractor: five stages of 3 x 3 convolutions with biases, ReLU and max pooling.

    It has no batch normalisation. Every padding rule puts one zero around the maps, because all
    convolutions have stride 1; the poolings are not padded.

    Attributes:
        width: Factor of all channel counts, for small models.
        one_block: Whether each stage has a single convolution, which compiles fast.
        before_pooling: Whether the maps of the stages are returned before pooling, such as relu1_2
            for `stage1`, instead of after it.
        compute: Dtype and lowering.
    """

    width: float = 1.0
    one_block: bool = False
    before_pooling: bool = False
    compute: Compute = Compute()

    @nn.compact
    def __call__(
        self, images: Float[Array, "n h w c"], mask: Bool[Array, "n"] | None = None, *, train: bool
    ) -> dict[str, Float[Array, "n _ _ _"]]:
        """Returns the maps `stem`, the first convolution's, `stage1` … `stage5`, pooled, and `top`.

        Args:
            images: Normalised images.
            mask: Has no effect, because images do not influence each other.
            train: Has no effect, because nothing is different in training.
        """
        del mask, train
        x, maps = images, dict[str, Array]()
        for stage, (count, features) in enumerate(STAGES, 1):
            for number in range(1, 2 if self.one_block else count + 1):
                x = Conv(
                    scaled_channels(features, self.width),
                    3,
                    padding=AROUND,
                    use_bias=True,
                    compute=self.compute,
                    name=f"stage{stage}_conv{number}",
                )(x)
                x = jax.nn.relu(x)
                maps.setdefault("stem", x)
            full = x
            x = max_pool(x, lowering=self.compute.lowering)
            maps[f"stage{stage}"] = full if self.before_pooling else x
        return maps | {"top": x}
