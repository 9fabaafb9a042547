"""Frequency features of frames: image generators leave traces in the spectrum."""

import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from jaxtyping import Array, Bool, Float

from dfjax.models.conv_stack import stack_convs
from dfjax.models.layers import Compute
from dfjax.ops.separable import EXACT
from dfjax.ops.spectrum import dct_matrix, dft_matrices

TRANSFORMS = ("dct", "fft")
FLOOR = 1e-3
"""Added to the magnitude (in quadrature), so that the logarithm of 0 is finite."""


class FrequencyCNN(nn.Module):
    """Convolutions over the log-magnitude spectrum of every frame, averaged over the map.

    Frank et al. (2020), "Leveraging Frequency Analysis for Deep Fake Image Recognition", detect
    generated images by the DCT spectrum.

    Attributes:
        transform: `dct`, or `fft` with the zero frequency in the centre.
        channels: Number of output channels of each convolution (see `stack_convs`).
        compute: Dtype and lowering of the convolutions.
    """

    transform: str = "dct"
    channels: tuple[int, ...] = (32, 64, 128)
    compute: Compute = Compute()

    @nn.compact
    def __call__(
        self, clip: Float[Array, "B T S S 3"], mask: Bool[Array, "B T"], *, train: bool
    ) -> Float[Array, "B T c"]:
        """Returns one vector per frame.

        Args:
            clip: Normalised frames.
            mask: Which frames are valid; the others are ignored.
            train: Whether to normalise by the statistics of the batch.
        """
        b, t, *image = clip.shape
        # Padding frames may hold anything, even NaN, which must not reach a sum.
        frames = jnp.where(mask[:, :, None, None, None], clip, 0).reshape(b * t, *image)
        spectrum = log_magnitude(frames, self.transform)
        maps = stack_convs(
            spectrum, self.channels, mask.reshape(b * t), train=train, compute=self.compute
        )
        return jnp.mean(maps.astype(jnp.float32), axis=(1, 2)).reshape(b, t, -1)


def log_magnitude(images: Float[Array, "n s s c"], transform: str) -> Float[Array, "n s s c"]:
    """Returns the natural logarithm of the magnitude of every frequency of every channel.

    Args:
        images: Square images.
        transform: Name in TRANSFORMS. Both transforms are orthonormal.
    """
    size = images.shape[1]

    def product(rows: np.ndarray, columns: np.ndarray) -> Array:
        # TF32's rounding error of the image's mean exceeds the highest frequencies.
        return jnp.einsum("ij,kl,njlc->nikc", rows, columns, images, precision=EXACT, optimize=True)

    if transform == "dct":
        basis = dct_matrix(size)
        power = product(basis, basis) ** 2
    else:
        real, imaginary = dft_matrices(size)
        power = (product(real, real) - product(imaginary, imaginary)) ** 2
        power += (product(real, imaginary) + product(imaginary, real)) ** 2
    return 0.5 * jnp.log(power + FLOOR**2)
