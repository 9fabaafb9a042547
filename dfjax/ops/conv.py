"""Dense convolutions: native, or as matrix products with gradients that a CPU can run.

XLA's native forward convolution is fine on a CPU; its automatic gradient is up to a hundred times
too slow there. Three matrix forms replace it, by the shape at hand: a 1 x 1 convolution is one
matrix product; small maps gather their patches first (im2col); large maps keep the native forward
and input gradient and take the weight gradient as k x k products, because patches would cost k x k
times the map.
"""

import functools

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

from dfjax.ops.lowering import Lowering
from dfjax.ops.padding import Padding, padded_size

PATCH_CELLS = 256  # output maps up to 16 x 16 use patches
PATCH_CHANNELS = 4  # and so do images, whose patches are thin

_DIMENSIONS = ("NHWC", "HWIO", "NHWC")


def conv(
    x: Float[Array, "n h w i"],
    kernel: Float[Array, "k k i o"],
    *,
    stride: int = 1,
    padding: Padding = ((0, 0), (0, 0)),
    lowering: Lowering,
) -> Float[Array, "n p q o"]:
    """Returns the convolution of `x` with `kernel` in the dtype of `x`.

    Args:
        x: feature maps, channels last.
        kernel: shared k x k kernel.
        stride: stride in both directions.
        padding: zeros around the map, see `dfjax.ops.padding`.
        lowering: native convolution, or the matrix form that fits the shape.
    """
    kernel = kernel.astype(x.dtype)
    if not lowering.matmul:
        return _native(x, kernel, stride, padding)
    k = kernel.shape[0]
    if k == 1 and not any(map(any, padding)):
        return jnp.einsum("nhwi,io->nhwo", x[:, ::stride, ::stride], kernel[0, 0])
    size = [padded_size(n, k, stride, pad) for n, pad in zip(x.shape[1:3], padding)]
    if size[0] * size[1] <= PATCH_CELLS or x.shape[3] <= PATCH_CHANNELS:
        return patch_conv(x, kernel, stride=stride, padding=padding)
    return _native_forward(stride, padding, x, kernel)


def patch_conv(
    x: Float[Array, "n h w i"], kernel: Float[Array, "k k i o"], *, stride: int, padding: Padding
) -> Float[Array, "n p q o"]:
    """Returns the convolution as one product of gathered patches (im2col) with the kernel."""
    k, _, inputs, outputs = kernel.shape
    windows = _windows(x, k, stride, padding)
    patches = jnp.concatenate(windows, axis=-1)  # [N, p, q, k*k*I]
    return jnp.einsum("npqi,io->npqo", patches, kernel.reshape(k * k * inputs, outputs))


def _native(x: Array, kernel: Array, stride: int, padding: Padding) -> Array:
    return lax.conv_general_dilated(
        x, kernel, (stride, stride), padding, dimension_numbers=_DIMENSIONS
    )


@functools.partial(jax.custom_vjp, nondiff_argnums=(0, 1))
def _native_forward(stride: int, padding: Padding, x: Array, kernel: Array) -> Array:
    return _native(x, kernel, stride, padding)


def _forward(
    stride: int, padding: Padding, x: Array, kernel: Array
) -> tuple[Array, tuple[Array, Array]]:
    return _native(x, kernel, stride, padding), (x, kernel)


def _backward(
    stride: int, padding: Padding, saved: tuple[Array, Array], grad: Array
) -> tuple[Array, Array]:
    x, kernel = saved
    k = kernel.shape[0]
    flipped = kernel[::-1, ::-1].swapaxes(2, 3)
    # The padding that makes a stride-1 convolution of the (dilated) gradient as large as x.
    edges = []
    for n, g, (low, _) in zip(x.shape[1:3], grad.shape[1:3], padding):
        before = k - 1 - low
        edges.append((before, n + k - 1 - before - (stride * (g - 1) + 1)))
    dx = lax.conv_general_dilated(
        grad,
        flipped,
        (1, 1),
        edges,
        lhs_dilation=(stride, stride),
        dimension_numbers=_DIMENSIONS,
    )
    windows = _windows(x, k, stride, padding)
    taps = [
        jnp.einsum("npqi,npqo->io", window, grad, preferred_element_type=jnp.float32)
        for window in windows
    ]
    return dx, jnp.stack(taps).reshape(kernel.shape).astype(kernel.dtype)


_native_forward.defvjp(_forward, _backward)


def _windows(x: Array, k: int, stride: int, padding: Padding) -> list[Array]:
    """The k*k shifted views of the padded map, row by row of the kernel."""
    padded = jnp.pad(x, ((0, 0), *padding, (0, 0)))
    rows, columns = (
        stride * (padded_size(n, k, stride, pad) - 1) + 1 for n, pad in zip(x.shape[1:3], padding)
    )
    return [
        padded[:, i : i + rows : stride, j : j + columns : stride]
        for i in range(k)
        for j in range(k)
    ]
