"""Dense convolutions, either native or as matrix products with gradients that are fast on a CPU.

XLA's native forward convolution is fast on a CPU, but its automatic gradient is up to a hundred
times too slow there. The `matmul` lowering chooses among these forms by shape:

- A 1 x 1 convolution is one matrix product.
- Small maps gather their patches first (im2col).
- Large maps keep the native forward pass and input gradient, because their patches would take
  k x k times the memory of the map. The weight gradient is computed by matrix products: over one
  strip of rows at a time, whose patches stay in the cache, or, where the batch may be sharded, by
  one product for each of the k x k shifts.
- The forward pass and the input gradient of a 3 x 3 convolution of a large map with many channels
  use Winograd's algorithm (`dfjax.ops.winograd`).
"""

import functools

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

from dfjax.ops.lowering import Lowering
from dfjax.ops.padding import Padding, padded_size
from dfjax.ops.winograd import winograd_conv

PATCH_CELLS = 256  # output maps of up to 16 x 16 cells use patches
PATCH_NUMBERS = 48  # maps with up to 48 numbers per patch use patches too: RGB images, 3 x 3 kernel
WINOGRAD_CHANNELS = 128  # at least, in and out: with fewer, the extra sums outweigh the products
STRIP = 2**20  # numbers in the patches of a strip: 4 MB of float32

_DIMENSIONS = ("NHWC", "HWIO", "NHWC")
_NONE = (0, 0, 0)


def conv(
    x: Float[Array, "n h w i"],
    kernel: Float[Array, "k k i o"],
    *,
    stride: int = 1,
    padding: Padding = ((0, 0), (0, 0)),
    dilation: int = 1,
    lowering: Lowering,
) -> Float[Array, "n p q o"]:
    """Returns the convolution of `x` with `kernel` in the dtype of `x`.

    Args:
        x: Feature maps, channels last.
        kernel: k x k kernel.
        stride: Stride in both directions.
        padding: Numbers of zeros around the map (see `dfjax.ops.padding`).
        dilation: Distance of the cells of the map that neighbouring cells of the kernel multiply.
        lowering: Native convolution, or the matrix form that suits the shape.
    """
    kernel = kernel.astype(x.dtype)
    if not lowering.matmul:
        return _native(x, kernel, stride, padding, spread=dilation)
    k = kernel.shape[0]
    if dilation > 1:
        return _dilated(stride, padding, dilation, x, kernel)
    if k == 1 and not any(map(any, padding)):
        return _pointwise(x[:, ::stride, ::stride], kernel[0, 0])
    size = [padded_size(n, k, stride, pad) for n, pad in zip(x.shape[1:3], padding)]
    if size[0] * size[1] <= PATCH_CELLS or k * k * x.shape[3] <= PATCH_NUMBERS:
        return patch_conv(x, kernel, stride=stride, padding=padding)
    return _native_forward(stride, padding, lowering.batch_scan, x, kernel)


def patch_conv(
    x: Float[Array, "n h w i"], kernel: Float[Array, "k k i o"], *, stride: int, padding: Padding
) -> Float[Array, "n p q o"]:
    """Returns the convolution as one product of the gathered patches (im2col) with the kernel.

    Args:
        x: Feature maps, channels last.
        kernel: k x k kernel in the dtype of `x`.
        stride: Stride in both directions.
        padding: Numbers of zeros around the map.
    """
    k, _, inputs, outputs = kernel.shape
    windows = _windows(x, k, stride, padding)
    patches = jnp.concatenate(windows, axis=-1)  # [N, p, q, k*k*I]
    return _product("npqi,io->npqo", patches, kernel.reshape(k * k * inputs, outputs)).astype(
        x.dtype
    )


@jax.custom_vjp
def _pointwise(x: Array, kernel: Array) -> Array:
    """Returns the 1 x 1 convolution; only its gradient with respect to the kernel is special."""
    return _product("nhwi,io->nhwo", x, kernel).astype(x.dtype)


def _pointwise_forward(x: Array, kernel: Array) -> tuple[Array, tuple[Array, Array]]:
    return _pointwise(x, kernel), (x, kernel)


def _pointwise_backward(saved: tuple[Array, Array], grad: Array) -> tuple[Array, Array]:
    x, kernel = saved
    dx = _product("nhwo,io->nhwi", grad, kernel).astype(x.dtype)
    # For a single product, XLA would write a transposed copy of a large map, with strided memory
    # access. One product per sample stays in the cache; it pays while its result is smaller than
    # the map.
    sample = "n" if max(kernel.shape) <= x.shape[1] * x.shape[2] else ""
    if x.shape[3] <= grad.shape[3]:  # the first operand is transposed: choose the thinner one
        dkernel = _product(f"nhwi,nhwo->{sample}io", x, grad)
    else:
        dkernel = _product(f"nhwo,nhwi->{sample}oi", grad, x).swapaxes(-1, -2)
    if sample:
        dkernel = dkernel.sum(0)
    return dx, dkernel.astype(kernel.dtype)


_pointwise.defvjp(_pointwise_forward, _pointwise_backward)


def _product(subscripts: str, a: Array, b: Array) -> Array:
    """Returns a product of the operands cast to float32, summed in float32.

    XLA's CPU backend has no bfloat16 product with a float32 result. In jax 0.12 it sums bfloat16
    products in bfloat16, with an error of 2 % of the largest value at 54 terms.
    """
    return jnp.einsum(subscripts, a.astype(jnp.float32), b.astype(jnp.float32))


def _native(
    x: Array, kernel: Array, stride: int, padding: Padding, dilation: int = 1, spread: int = 1
) -> Array:
    """Returns XLA's convolution of the map dilated by `dilation` with the kernel by `spread`."""
    return lax.conv_general_dilated(
        x,
        kernel,
        (stride, stride),
        padding,
        lhs_dilation=(dilation, dilation),
        rhs_dilation=(spread, spread),
        dimension_numbers=_DIMENSIONS,
    )


def _correlate(x: Array, kernel: Array, stride: int, padding: Padding, dilation: int = 1) -> Array:
    plain = stride == dilation == 1 and kernel.shape[0] == 3 and min(map(min, padding)) >= 0
    if plain and min(kernel.shape[2:]) >= WINOGRAD_CHANNELS:
        return winograd_conv(x, kernel, padding=padding)
    return _native(x, kernel, stride, padding, dilation)


@functools.partial(jax.custom_vjp, nondiff_argnums=(0, 1, 2))
def _native_forward(
    stride: int, padding: Padding, batch_scan: bool, x: Array, kernel: Array
) -> Array:
    del batch_scan  # used by the gradient only
    return _correlate(x, kernel, stride, padding)


def _forward(
    stride: int, padding: Padding, batch_scan: bool, x: Array, kernel: Array
) -> tuple[Array, tuple[Array, Array]]:
    del batch_scan
    return _correlate(x, kernel, stride, padding), (x, kernel)


def _backward(
    stride: int, padding: Padding, batch_scan: bool, saved: tuple[Array, Array], grad: Array
) -> tuple[Array, Array]:
    x, kernel = saved
    k = kernel.shape[0]
    flipped = kernel[::-1, ::-1].swapaxes(2, 3)

    # The padding with which a stride-1 convolution of the (dilated) gradient has the size of x.
    def edges(axis: int) -> tuple[int, int]:
        before = k - 1 - padding[axis - 1][0]
        return before, x.shape[axis] + k - 1 - before - (stride * (grad.shape[axis] - 1) + 1)

    dx = _correlate(grad, flipped, 1, (edges(1), edges(2)), dilation=stride)
    gradient = _strip_kernel_gradient if batch_scan else _kernel_gradient
    return dx, gradient(x, grad, k, stride, padding).astype(kernel.dtype)


_native_forward.defvjp(_forward, _backward)


@functools.partial(jax.custom_vjp, nondiff_argnums=(0, 1, 2))
def _dilated(stride: int, padding: Padding, dilation: int, x: Array, kernel: Array) -> Array:
    """Returns the convolution with a dilated kernel; only the kernel's gradient is special."""
    return _native(x, kernel, stride, padding, spread=dilation)


def _dilated_forward(
    stride: int, padding: Padding, dilation: int, x: Array, kernel: Array
) -> tuple[Array, tuple[Array, Array]]:
    return _dilated(stride, padding, dilation, x, kernel), (x, kernel)


def _dilated_backward(
    stride: int, padding: Padding, dilation: int, saved: tuple[Array, Array], grad: Array
) -> tuple[Array, Array]:
    x, kernel = saved
    run = functools.partial(_native, kernel=kernel, stride=stride, padding=padding, spread=dilation)
    (dx,) = jax.linear_transpose(run, x)(grad)
    k = kernel.shape[0]
    return dx, _kernel_gradient(x, grad, k, stride, padding, dilation).astype(kernel.dtype)


_dilated.defvjp(_dilated_forward, _dilated_backward)


def _kernel_gradient(
    x: Array, grad: Array, k: int, stride: int, padding: Padding, dilation: int = 1
) -> Array:
    """Returns the kernel gradient, [k, k, I, O], by one product over batch and map per shift."""
    windows = _windows(x, k, stride, padding, dilation)
    taps = [_product("npqi,npqo->io", window, grad) for window in windows]
    return jnp.stack(taps).reshape(k, k, x.shape[3], grad.shape[3])


def _strip_kernel_gradient(x: Array, grad: Array, k: int, stride: int, padding: Padding) -> Array:
    """Returns the kernel gradient, [k, k, I, O], by one product per strip of rows.

    Each product multiplies the output gradient with the gathered patches of that strip.
    """
    n, height, width, outputs = grad.shape
    inputs = x.shape[3]
    rows = min(height, max(1, STRIP // (width * k * k * inputs)))
    strips = -(-height // rows)
    reach = stride * (rows - 1) + k  # rows of x that a strip depends on
    (top, _), columns = padding
    below = stride * rows * (strips - 1) + reach - top - x.shape[1]
    padded = lax.pad(x, jnp.zeros((), x.dtype), [_NONE, (top, below, 0), (*columns, 0), _NONE])
    grad = jnp.pad(grad, ((0, 0), (0, strips * rows - height), (0, 0), (0, 0)))

    def add(total: Array, number: Array) -> tuple[Array, None]:
        sample, strip = number // strips, number % strips
        x_strip = lax.dynamic_slice(
            padded,
            (sample, strip * rows * stride, 0, 0),
            (1, reach, padded.shape[2], inputs),
        )
        g_strip = lax.dynamic_slice(grad, (sample, strip * rows, 0, 0), (1, rows, width, outputs))
        patches = jnp.concatenate(_windows(x_strip, k, stride, ((0, 0), (0, 0))), axis=-1)
        # With the outputs first, XLA's product on a CPU is up to twice as fast.
        return total + _product("npqo,npqi->oi", g_strip, patches), None

    zeros = jnp.zeros((outputs, k * k * inputs), jnp.float32)
    total, _ = lax.scan(add, zeros, jnp.arange(n * strips))
    return total.T.reshape(k, k, inputs, outputs)


def _windows(x: Array, k: int, stride: int, padding: Padding, dilation: int = 1) -> list[Array]:
    """Returns the k*k shifted views of the padded map, in row-major order of the kernel."""
    padded = jnp.pad(x, ((0, 0), *padding, (0, 0)))
    reach = dilation * (k - 1) + 1
    rows, columns = (
        stride * (padded_size(n, reach, stride, pad) - 1) + 1
        for n, pad in zip(x.shape[1:3], padding)
    )
    return [
        padded[:, i : i + rows : stride, j : j + columns : stride]
        for i in range(0, reach, dilation)
        for j in range(0, reach, dilation)
    ]
