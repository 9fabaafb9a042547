"""What a frame looks like to the frequencies it is made of: generators leave traces there.

The transforms are products with fixed matrices, which every exporter and accelerator has.
"""

import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from jaxtyping import Array, Bool, Float

from dfjax.models.conv_stack import stack_convs
from dfjax.models.layers import Compute
from dfjax.ops.separable import EXACT

TRANSFORMS = ("dct", "fft")
FLOOR = 1e-3
"""Magnitudes below this are all alike: the logarithm of nothing."""


class FrequencyCNN(nn.Module):
    """Log magnitudes of the frequencies of every frame → convolutions → their mean.

    As in Frank et al. (2020), who found generated images by the spectrum of their DCT.

    Attributes:
        transform: `dct` or `fft`; of the latter the magnitude, zero frequency in the middle.
        channels: of the convolutions of `stack_convs`.
        compute: dtype and lowering of the convolutions.
    """

    transform: str = "dct"
    channels: tuple[int, ...] = (32, 64, 128)
    compute: Compute = Compute()

    @nn.compact
    def __call__(
        self, clip: Float[Array, "B T S S 3"], mask: Bool[Array, "B T"], *, train: bool
    ) -> Float[Array, "B T c"]:
        """Returns a vector per frame.

        Args:
            clip: normalised frames.
            mask: frames that are there; what the others hold changes nothing.
            train: batch statistics of the batch.
        """
        b, t, *image = clip.shape
        # Whatever a padding frame holds, even NaN, must not reach a sum.
        frames = jnp.where(mask[:, :, None, None, None], clip, 0).reshape(b * t, *image)
        spectrum = log_magnitude(frames, self.transform)
        maps = stack_convs(
            spectrum, self.channels, mask.reshape(b * t), train=train, compute=self.compute
        )
        return jnp.mean(maps.astype(jnp.float32), axis=(1, 2)).reshape(b, t, -1)


def log_magnitude(images: Float[Array, "n s s c"], transform: str) -> Float[Array, "n s s c"]:
    """Returns the logarithm of the size of every frequency, channel by channel.

    Args:
        images: square images.
        transform: one of TRANSFORMS, both orthonormal.
    """
    size = images.shape[1]

    def product(rows: np.ndarray, columns: np.ndarray) -> Array:
        # Beside the mean of a picture its finest frequencies are less than what TF32 rounds away.
        return jnp.einsum("ij,kl,njlc->nikc", rows, columns, images, precision=EXACT, optimize=True)

    if transform == "dct":
        basis = dct_matrix(size)
        power = product(basis, basis) ** 2
    else:
        real, imaginary = dft_matrices(size)
        power = (product(real, real) - product(imaginary, imaginary)) ** 2
        power += (product(real, imaginary) + product(imaginary, real)) ** 2
    return 0.5 * jnp.log(power + FLOOR**2)


def dct_matrix(size: int) -> Float[np.ndarray, "{size} {size}"]:
    """Returns the orthonormal DCT-II: row k times a signal is its k-th coefficient."""
    k, n = np.arange(size)[:, None], np.arange(size)
    basis = np.cos(np.pi * k * (2 * n + 1) / (2 * size)) * np.sqrt(2 / size)
    basis[0] /= np.sqrt(2)
    return basis.astype(np.float32)


def dft_matrices(
    size: int,
) -> tuple[Float[np.ndarray, "{size} {size}"], Float[np.ndarray, "{size} {size}"]]:
    """Returns real and imaginary part of the orthonormal DFT, zero frequency in the middle row."""
    k = np.fft.fftshift(np.fft.fftfreq(size)) * size
    angle = -2 * np.pi * k[:, None] * np.arange(size) / size
    return tuple((part(angle) / np.sqrt(size)).astype(np.float32) for part in (np.cos, np.sin))
