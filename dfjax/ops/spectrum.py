"""Spectra of images as products with fixed matrices, which every exporter and accelerator supports.

A product has the cost of the size cubed. For the sides of face crops, up to some 400 pixels, this
is little in comparison with a network, and matrix units compute it at their full speed.
"""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from dfjax.ops.separable import EXACT

FAINT = 0.1
"""Magnitude in grey levels below which `phase_image` fades a frequency out. The rounding of pixels
to 8 bits alone gives every frequency a magnitude of about 0.3."""


def dct_matrix(size: int) -> Float[np.ndarray, "{size} {size}"]:
    """Returns the matrix of the orthonormal DCT-II: row k times a signal is coefficient k."""
    k, n = np.arange(size)[:, None], np.arange(size)
    basis = np.cos(np.pi * k * (2 * n + 1) / (2 * size)) * np.sqrt(2 / size)
    basis[0] /= np.sqrt(2)
    return basis.astype(np.float32)


def dft_matrices(
    size: int,
) -> tuple[Float[np.ndarray, "{size} {size}"], Float[np.ndarray, "{size} {size}"]]:
    """Returns the real and imaginary matrices of the orthonormal DFT, frequency 0 in the middle."""
    k = np.fft.fftshift(np.fft.fftfreq(size)) * size
    return _waves(k, size)


def phase_image(images: Float[Array, "*batch h w c"]) -> Float[Array, "*batch h w 1"]:
    """Returns images that are made again from the phase of their spectrum alone.

    Liu et al. (2021), "Spatial-Phase Shallow Learning: Rethinking Face Forgery Detection in
    Frequency Domain" (SPSL): the upsampling of generators leaves traces in the phase. The spectrum
    of the mean over the channels is divided by its magnitude and transformed back. Two choices are
    ours. The transforms are orthonormal, so that values have a mean square of 1 at every size.
    A frequency of magnitude m is divided by the root of m² + FAINT², so that a frequency which is
    only rounding error does not count, black stays black, and gradients are finite.

    Args:
        images: Pixel values from 0 to 255; float32.
    """
    height, width = images.shape[-3:-1]
    gray = jnp.mean(images, axis=-1)
    mean = jnp.mean(gray, axis=(-2, -1), keepdims=True)
    # The mean is by far the largest coefficient, whose rounding error would exceed the others.
    rows, columns = _waves(np.arange(height // 2 + 1), height), _waves(np.arange(width), width)
    real, imaginary = _transform(gray - mean, rows, columns)
    scale = jnp.asarray(_weigh_rows(height, width)) / jnp.sqrt(real**2 + imaginary**2 + FAINT**2)
    again = _transform_back(scale * real, scale * imaginary, rows, columns)
    area = height * width
    constant = mean / jnp.sqrt(area * mean**2 + FAINT**2)
    return (again + constant)[..., None]


Waves = tuple[Float[np.ndarray, "_ _"], Float[np.ndarray, "_ _"]]


def _waves(frequencies: np.ndarray, size: int) -> Waves:
    """Returns the cosines and the negative sines of frequencies, of unit norm."""
    angle = -2 * np.pi * frequencies[:, None] * np.arange(size) / size
    return tuple((part(angle) / np.sqrt(size)).astype(np.float32) for part in (np.cos, np.sin))


def _weigh_rows(height: int, width: int) -> Float[np.ndarray, "k {width}"]:
    """Returns how often the frequencies of the computed rows count: 0 for the mean.

    The rows that are left out are the conjugates of those from 1 on, but of the middle one.
    """
    weights = np.full((height // 2 + 1, width), 2, np.float32)
    weights[0] = 1
    weights[0, 0] = 0
    if height % 2 == 0:
        weights[-1] = 1
    return weights


def _transform(
    gray: Float[Array, "*batch h w"], rows: Waves, columns: Waves
) -> tuple[Float[Array, "*batch k l"], Float[Array, "*batch k l"]]:
    """Returns the real and imaginary parts of the spectrum of real images."""

    def along(matrix: np.ndarray, axis: str, x: Array) -> Array:
        equation = "kh,...hw->...kw" if axis == "rows" else "lw,...kw->...kl"
        return jnp.einsum(equation, matrix, x, precision=EXACT)

    cosines, sines = (along(part, "rows", gray) for part in rows)
    real = along(columns[0], "columns", cosines) - along(columns[1], "columns", sines)
    imaginary = along(columns[1], "columns", cosines) + along(columns[0], "columns", sines)
    return real, imaginary


def _transform_back(
    real: Float[Array, "*batch k l"],
    imaginary: Float[Array, "*batch k l"],
    rows: Waves,
    columns: Waves,
) -> Float[Array, "*batch h w"]:
    """Returns the real part of the inverse transform of some rows of a spectrum."""

    def along(matrix: np.ndarray, axis: str, x: Array) -> Array:
        equation = "lw,...kl->...kw" if axis == "columns" else "kh,...kw->...hw"
        return jnp.einsum(equation, matrix, x, precision=EXACT)

    # The inverse multiplies by conjugates: (real + i imaginary) (cosine - i sine).
    cosines = along(columns[0], "columns", real) + along(columns[1], "columns", imaginary)
    sines = along(columns[0], "columns", imaginary) - along(columns[1], "columns", real)
    return along(rows[0], "rows", cosines) + along(rows[1], "rows", sines)
