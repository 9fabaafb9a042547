"""Positions of the patches of a vision transformer: learned ones, resized, and rotary ones."""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

LONGEST = 100.0  # base of the wavelengths of DINOv3
TORCH_CUBIC = -0.75  # parameter of the cubic kernel of torch without antialiasing; with it -0.5


def resize_positions(
    positions: Float[Array, "n D"], rows: int, columns: int, *, antialias: bool
) -> Float[Array, "m D"]:
    """Returns learned positions for another number of patches, by bicubic interpolation as torch.

    Args:
        positions: Positions of the patches of a square image, row by row.
        rows: Number of rows of patches of the image.
        columns: Number of columns.
        antialias: Whether the kernel widens when there are fewer patches.
    """
    side = round(len(positions) ** 0.5)
    if (rows, columns) == (side, side):
        return positions
    vertical, horizontal = (
        resize_matrix(side, size, antialias=antialias) for size in (rows, columns)
    )
    grid = positions.reshape(side, side, -1)
    grid = jnp.einsum("ph,qw,hwd->pqd", vertical, horizontal, grid, precision="highest")
    return grid.reshape(rows * columns, -1)


def resize_matrix(old: int, new: int, *, antialias: bool) -> Float[np.ndarray, "{new} {old}"]:
    """Returns the weights of a bicubic interpolation along one axis, as in torch.

    Args:
        old: Number of cells.
        new: Number of interpolated cells.
        antialias: Whether the kernel widens with `old / new` above 1; it is then Keys' (a = -0.5)
            and is cut at the border. Otherwise a is -0.75, and the border is repeated.
    """
    ratio = old / new
    stretch = max(ratio, 1.0) if antialias else 1.0
    centres = (np.arange(new) + 0.5) * ratio - 0.5
    reach = int(np.ceil(2 * stretch)) + 1
    cells = np.floor(centres)[:, None].astype(int) + np.arange(-reach, reach + 1)
    weights = _cubic((cells - centres[:, None]) / stretch, -0.5 if antialias else TORCH_CUBIC)
    if antialias:
        weights = np.where((cells >= 0) & (cells < old), weights, 0.0)
    weights = weights / weights.sum(1, keepdims=True)
    matrix = np.zeros((new, old))
    np.add.at(matrix, (np.arange(new)[:, None], np.clip(cells, 0, old - 1)), weights)
    return matrix.astype(np.float32)


def _cubic(x: np.ndarray, a: float) -> np.ndarray:
    """Returns the cubic convolution kernel (Keys, 1981) at distances `x`."""
    x = np.abs(x)
    near = (a + 2) * x**3 - (a + 3) * x**2 + 1
    far = a * (x**3 - 5 * x**2 + 8 * x - 4)
    return np.where(x <= 1, near, np.where(x < 2, far, 0.0))


def rotary_angles(rows: int, columns: int, head: int) -> Float[np.ndarray, "_ {head}"]:
    """Returns the angles by which DINOv3 rotates the queries and keys of every patch.

    The centres of the patches have coordinates from -1 to 1. A quarter of the channels are for the
    vertical one, a quarter for the horizontal one, and the second half repeats the first.

    Args:
        rows: Number of rows of patches.
        columns: Number of columns.
        head: Width of a head, a multiple of 4.
    """
    rates = LONGEST ** -np.arange(0, 1, 4 / head)  # [head / 4]
    vertical, horizontal = (2 * (np.arange(n) + 0.5) / n - 1 for n in (rows, columns))
    centres = np.stack(np.meshgrid(vertical, horizontal, indexing="ij"), -1).reshape(-1, 2)
    angles = 2 * np.pi * centres[:, :, None] * rates  # [patches, 2, head / 4]
    return np.tile(angles.reshape(len(centres), -1), 2).astype(np.float32)


def rotate(x: Float[Array, "n N h d"], angles: Float[np.ndarray, "p d"]) -> Float[Array, "n N h d"]:
    """Returns queries or keys, those of the last tokens (the patches) rotated.

    Channel i and channel i + d / 2 are the two coordinates of a point.

    Args:
        x: Queries or keys of every token.
        angles: Angles of the patches, which are the last `p` tokens.
    """
    others, patches = jnp.split(x, [x.shape[1] - len(angles)], axis=1)
    cos, sin = (jnp.asarray(f(angles), x.dtype)[:, None] for f in (np.cos, np.sin))
    first, second = jnp.split(patches, 2, axis=-1)
    turned = jnp.concatenate([-second, first], axis=-1)
    return jnp.concatenate([others, patches * cos + turned * sin], axis=1)
