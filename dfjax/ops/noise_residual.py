"""Noise residuals of images by high-pass filters of steganalysis (SRM)."""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

SECOND_ORDER = np.array([[1, -2, 1]]) / 2
SQUARE_3 = np.array([[-1, 2, -1], [2, -4, 2], [-1, 2, -1]]) / 4
SQUARE_5 = (
    np.array(
        [
            [-1, 2, -2, 2, -1],
            [2, -6, 8, -6, 2],
            [-2, 8, -12, 8, -2],
            [2, -6, 8, -6, 2],
            [-1, 2, -2, 2, -1],
        ]
    )
    / 12
)
KERNELS = (SQUARE_3, SQUARE_5, SECOND_ORDER)
"""The filters in the order of the output channels. All of them are symmetric."""

LIMIT = 3.0  # grey levels


def srm_residual(images: Float[Array, "*batch h w c"]) -> Float[Array, "*batch h w 3"]:
    """Returns three residuals of images, truncated at 3 grey levels: what noise and edges leave.

    Fridrich and Kodovský (2012), "Rich Models for Steganalysis of Digital Images", predict a pixel
    from its neighbours by linear filters, take the difference and truncate it. Zhou et al. (2018),
    "Learning Rich Features for Image Manipulation Detection", and Luo et al. (2021), "Generalizing
    Face Forgery Detection with High-frequency Features", use three of these filters: the square
    ones of 3 x 3 and 5 x 5 pixels, and the horizontal second difference. As in the code of the
    latter, the residuals of the channels are added, the images are surrounded by zeros, and values
    are truncated at ±3.

    Args:
        images: Pixel values from 0 to 255, the range that the truncation is for; float32.
    """
    *batch, height, width, _ = images.shape
    total = jnp.sum(images, axis=-1).reshape(-1, height, width, 1)
    residuals = jax.lax.conv_general_dilated(
        total,
        jnp.asarray(_stack_kernels(), images.dtype),
        window_strides=(1, 1),
        padding=((2, 2), (2, 2)),
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
        precision=jax.lax.Precision.HIGHEST,  # differences of large, nearly equal numbers
    )
    return jnp.clip(residuals, -LIMIT, LIMIT).reshape(*batch, height, width, len(KERNELS))


def _stack_kernels() -> Float[np.ndarray, "5 5 1 3"]:
    """Returns the filters, each in the centre of 5 x 5 zeros."""
    padded = [
        np.pad(kernel, [((5 - side) // 2,) * 2 for side in kernel.shape]) for kernel in KERNELS
    ]
    return np.stack(padded, axis=-1)[:, :, None].astype(np.float32)
