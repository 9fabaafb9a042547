"""Depthwise convolution, either native or as k x k shifted multiplications with a custom gradient.

On a CPU, XLA's grouped convolution processes one group at a time and takes 10 to 100 times as long
as the shifted form. The gradient that automatic differentiation derives from the shifted form is
slower than the one written here.

On a TPU the native form is used. A Pallas kernel with the batch on the lanes, for k = 3 and 120 to
128 maps of 56 x 56 x 192 in bfloat16 on a v5e, is scheduled in 0.62 M instruction bundles where the
compiler's own convolution takes 0.70 M, and its gradient of the kernel in 0.84 M against 0.51 M; at
14 x 14 x 672 and k = 5 these are 0.39 M against 0.47 M and 0.54 M against 0.34 M. That is no gain
for a training step. (The compiler's `estimated_cycles` of its own convolution is 2.8 times its
bundles, and it has none for a Pallas kernel, so that the two can be compared by bundles only.)
"""

import functools

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

from dfjax.ops.lowering import Lowering
from dfjax.ops.padding import Padding, padded_size


def depthwise_conv(
    x: Float[Array, "n h w c"],
    kernel: Float[Array, "k k 1 c"],
    *,
    stride: int,
    padding: Padding,
    lowering: Lowering,
) -> Float[Array, "n p q c"]:
    """Returns every channel of `x` correlated with its own k x k kernel, in the dtype of `x`.

    Sums are computed in float32.

    Args:
        x: Feature maps, channels last.
        kernel: One k x k kernel per channel.
        stride: Stride in both directions.
        padding: Numbers of zeros around the map (see `dfjax.ops.padding`).
        lowering: Native convolution or shifted multiplications.
    """
    if lowering.matmul:
        return _shifted(stride, padding, lowering.batch_scan, x, kernel[:, :, 0])
    if lowering.tap_gradient:
        return _native_by_taps(stride, padding, x, kernel)
    return _native(stride, padding, x, kernel)


def _native(stride: int, padding: Padding, x: Array, kernel: Array) -> Array:
    return lax.conv_general_dilated(
        x,
        kernel.astype(x.dtype),
        (stride, stride),
        padding,
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
        feature_group_count=x.shape[-1],
    )


_native_by_taps = jax.custom_vjp(_native, nondiff_argnums=(0, 1))


def _native_forward(
    stride: int, padding: Padding, x: Array, kernel: Array
) -> tuple[Array, tuple[Array, Array]]:
    return _native(stride, padding, x, kernel), (x, kernel)


def _native_backward(
    stride: int, padding: Padding, saved: tuple[Array, Array], grad: Array
) -> tuple[Array, Array]:
    x, kernel = saved
    (dx,) = jax.linear_transpose(lambda x: _native(stride, padding, x, kernel), x)(grad)
    dkernel = _kernel_gradient(_pad(x, padding), grad, kernel.shape[0], stride)
    return dx, dkernel[:, :, None].astype(kernel.dtype)


_native_by_taps.defvjp(_native_forward, _native_backward)


@functools.partial(jax.custom_vjp, nondiff_argnums=(0, 1, 2))
def _shifted(stride: int, padding: Padding, batch_scan: bool, x: Array, kernel: Array) -> Array:
    return _forward(stride, padding, batch_scan, x, kernel)[0]


def _forward(
    stride: int, padding: Padding, batch_scan: bool, x: Array, kernel: Array
) -> tuple[Array, tuple[Array, Array]]:
    """Returns the output and the residuals of the gradient.

    The padded map is saved instead of `x`, so that `x` itself need not be written to memory.
    """
    del batch_scan  # used by the gradient only
    size = _output_size(x, kernel, stride, padding)
    padded = _pad(x, padding)
    wide = kernel.astype(jnp.float32)
    taps = (
        _window(padded, i, j, stride, size).astype(jnp.float32) * wide[i, j]
        for i in range(kernel.shape[0])
        for j in range(kernel.shape[1])
    )
    return sum(taps, start=jnp.zeros((), jnp.float32)).astype(x.dtype), (padded, kernel)


def _backward(
    stride: int, padding: Padding, batch_scan: bool, saved: tuple[Array, Array], grad: Array
) -> tuple[Array, Array]:
    padded, kernel = saved
    dx = _input_gradient(grad, kernel, padded.shape, stride, padding)
    gradient = _scan_kernel_gradient if batch_scan else _kernel_gradient
    dkernel = gradient(padded, grad, kernel.shape[0], stride)
    return dx.astype(padded.dtype), dkernel.astype(kernel.dtype)


_shifted.defvjp(_forward, _backward)


def _input_gradient(
    grad: Array, kernel: Array, shape: tuple[int, ...], stride: int, padding: Padding
) -> Array:
    """Returns the input gradient, computed for one phase of the stride at a time.

    This avoids multiplications by the zeros of a dilated gradient. `shape` is the shape of the
    padded input.
    """
    k = kernel.shape[0]
    kernel = kernel.astype(jnp.float32)
    cells = [-(-n // stride) for n in shape[1:3]]
    margin = -(-k // stride) - 1  # cells that the kernel of one phase extends backwards
    trail = [max(n - g, 0) for n, g in zip(cells, grad.shape[1:3])]
    wide = _pad(grad, ((margin, trail[0]), (margin, trail[1])))

    def phase(a: int, b: int) -> Array:
        terms = [
            _window(wide, margin - i // stride, margin - j // stride, 1, (cells[0], cells[1]))
            * kernel[i, j]
            for i in range(a, k, stride)
            for j in range(b, k, stride)
        ]
        zeros = jnp.zeros((shape[0], *cells, shape[3]), jnp.float32)
        return sum(terms[1:], start=terms[0]) if terms else zeros

    rows = [jnp.stack([phase(a, b) for b in range(stride)], axis=3) for a in range(stride)]
    whole = jnp.stack(rows, axis=2)  # [N, P, s, Q, s, C]
    whole = whole.reshape(shape[0], cells[0] * stride, cells[1] * stride, shape[3])
    (top, bottom), (left, right) = padding
    return whole[:, top : shape[1] - bottom, left : shape[2] - right]


def _kernel_gradient(padded: Array, grad: Array, k: int, stride: int) -> Array:
    """Returns the kernel gradient, [k, k, C], by one reduction over batch and map per tap."""
    size = (grad.shape[1], grad.shape[2])
    grad = grad.astype(jnp.float32)
    taps = [
        jnp.sum(_window(padded, i, j, stride, size).astype(jnp.float32) * grad, axis=(0, 1, 2))
        for i in range(k)
        for j in range(k)
    ]
    return jnp.stack(taps).reshape(k, k, padded.shape[3])


def _scan_kernel_gradient(padded: Array, grad: Array, k: int, stride: int) -> Array:
    def add(total: Array, sample: tuple[Array, Array]) -> tuple[Array, None]:
        one, one_grad = sample
        return total + _kernel_gradient(one[None], one_grad[None], k, stride), None

    zeros = jnp.zeros((k, k, padded.shape[3]), jnp.float32)
    return lax.scan(add, zeros, (padded, grad))[0]


def _pad(x: Array, padding: Padding) -> Array:
    return jnp.pad(x, ((0, 0), *padding, (0, 0)))


def _window(x: Array, row: int, column: int, stride: int, size: tuple[int, int]) -> Array:
    rows, columns = stride * (size[0] - 1) + 1, stride * (size[1] - 1) + 1
    n, _, _, c = x.shape
    return lax.slice(
        x, (0, row, column, 0), (n, row + rows, column + columns, c), (1, stride, stride, 1)
    )


def _output_size(x: Array, kernel: Array, stride: int, padding: Padding) -> tuple[int, int]:
    height, width = (
        padded_size(n, kernel.shape[0], stride, pad) for n, pad in zip(x.shape[1:3], padding)
    )
    return height, width
