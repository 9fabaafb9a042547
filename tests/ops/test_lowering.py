"""Every lowering is the same function: values and gradients, odd and even sizes, strides."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dfjax.errors import UsageError
from dfjax.ops import conv as conv_module
from dfjax.ops.conv import conv
from dfjax.ops.depthwise import depthwise_conv
from dfjax.ops.lowering import MATMUL, NATIVE, Lowering, resolve
from dfjax.ops.padding import pad_amounts

SCAN = Lowering(matmul=True, batch_scan=True)
TAPS = Lowering(matmul=False, tap_gradient=True)
CASES = [
    # size, k, stride, flavour
    ((6, 7), 3, 1, "same"),
    ((6, 7), 3, 2, "same"),
    ((7, 6), 5, 2, "symmetric"),
    ((9, 8), 5, 1, "same"),
    ((9, 8), 5, 3, "same"),
    ((8, 8), 3, 2, "symmetric"),
]


def assert_same(function, lowerings, x, kernel, *, stride, padding, relative=1e-5):
    """Output and both gradients of every lowering against the native one."""

    def run(x, kernel, lowering):
        return function(x, kernel, stride=stride, padding=padding, lowering=lowering)

    @jax.jit
    def all_of(x, kernel, cotangent):
        results = []
        for lowering in (NATIVE, *lowerings):
            y, pull = jax.vjp(functools.partial(run, lowering=lowering), x, kernel)
            results.append((y, *pull(cotangent)))
        return results

    output = jax.eval_shape(functools.partial(run, lowering=NATIVE), x, kernel)
    native, *others = all_of(x, kernel, draw(output.shape, 2, output.dtype))
    for other in others:
        for actual, expected in zip(other, native, strict=True):
            assert actual.shape == expected.shape and actual.dtype == expected.dtype
            actual, expected = np.float32(actual), np.float32(expected)
            peak = np.abs(expected).max()
            np.testing.assert_allclose(actual, expected, rtol=0, atol=relative * peak)


def draw(shape, seed, dtype=jnp.float32):
    return jnp.asarray(np.random.default_rng(seed).normal(size=shape), dtype)


@pytest.mark.parametrize("size,k,stride,flavour", CASES)
def test_depthwise_lowerings_agree(size, k, stride, flavour):
    padding = pad_amounts(flavour, size, k, stride, native=0)
    x, kernel = draw((2, *size, 3), 0), draw((k, k, 1, 3), 1)
    assert_same(depthwise_conv, [MATMUL, SCAN, TAPS], x, kernel, stride=stride, padding=padding)


@pytest.mark.parametrize("size,k,stride,flavour", [*CASES, ((7, 6), 1, 2, "same")])
def test_dense_lowerings_agree(size, k, stride, flavour, monkeypatch):
    monkeypatch.setattr(conv_module, "PATCH_CELLS", 15)  # both matrix forms occur among the cases
    monkeypatch.setattr(conv_module, "STRIP", 1600)  # strips of 1 or 4 rows, a short last one
    padding = pad_amounts(flavour, size, k, stride, native=0)
    x, kernel = draw((2, *size, 6), 0), draw((k, k, 6, 5), 1)
    assert_same(conv, [MATMUL, SCAN], x, kernel, stride=stride, padding=padding)


@pytest.mark.parametrize(
    "size,padding,dtype,relative",
    [
        ((6, 8), ((1, 1), (1, 1)), jnp.float32, 1e-5),
        ((7, 6), ((1, 1), (1, 1)), jnp.float32, 1e-5),
        ((5, 5), ((0, 1), (2, 0)), jnp.float32, 1e-5),
        ((6, 8), ((0, 1), (2, 0)), jnp.float32, 1e-5),
        ((7, 6), ((0, 0), (0, 0)), jnp.float32, 1e-5),
        ((5, 5), ((1, 1), (1, 1)), jnp.bfloat16, 2**-7),
        ((7, 6), ((0, 1), (2, 0)), jnp.bfloat16, 2**-7),
    ],
)
def test_winograd_agrees(size, padding, dtype, relative, monkeypatch):
    monkeypatch.setattr(conv_module, "PATCH_CELLS", 0)
    monkeypatch.setattr(conv_module, "WINOGRAD_CHANNELS", 5)
    monkeypatch.setattr(conv_module, "PATCH_NUMBERS", 0)
    x, kernel = draw((2, *size, 6), 0, dtype), draw((3, 3, 6, 5), 1)
    assert_same(conv, [MATMUL, SCAN], x, kernel, stride=1, padding=padding, relative=relative)
    lowered = jax.jit(lambda x: conv(x, kernel, padding=padding, lowering=MATMUL)).lower(x)
    assert "convolution" not in lowered.as_text()  # it was the form that was taken


def test_winograd_is_as_exact_with_many_channels():
    x, kernel = draw((1, 18, 18, 768), 0), draw((3, 3, 768, 64), 1)
    padding = ((1, 1), (1, 1))
    actual, expected = (
        conv(x, kernel, padding=padding, lowering=form) for form in (MATMUL, NATIVE)
    )
    np.testing.assert_allclose(actual, expected, rtol=0, atol=1e-5 * np.abs(expected).max())


def test_bfloat16_agrees_to_its_own_precision():
    padding = pad_amounts("same", (8, 8), 3, 2, native=0)
    x, kernel = draw((2, 8, 8, 4), 0, jnp.bfloat16), draw((3, 3, 1, 4), 1)
    # bfloat16 rounds to 2**-8, once in each of the two forms
    assert_same(
        depthwise_conv, [MATMUL, SCAN, TAPS], x, kernel, stride=2, padding=padding, relative=2**-7
    )


@pytest.mark.parametrize("side", [2, 5])  # one product; one for each sample
@pytest.mark.parametrize("channels", [(4, 7), (7, 4)])  # whose transposed side is the thinner one
@pytest.mark.parametrize("dtype,relative", [(jnp.float32, 1e-5), (jnp.bfloat16, 2**-7)])
def test_pointwise_lowerings_agree(side, channels, dtype, relative):
    x, kernel = draw((3, side, side, channels[0]), 0, dtype), draw((1, 1, *channels), 1)
    padding = ((0, 0), (0, 0))
    assert_same(conv, [MATMUL], x, kernel, stride=1, padding=padding, relative=relative)


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("cells", [0, 256])
def test_dense_bfloat16_agrees_to_its_own_precision(stride, cells, monkeypatch):
    monkeypatch.setattr(conv_module, "PATCH_CELLS", cells)  # the two matrix forms
    padding = pad_amounts("same", (9, 8), 3, stride, native=0)
    x, kernel = draw((2, 9, 8, 6), 0, jnp.bfloat16), draw((3, 3, 6, 5), 1)
    assert_same(conv, [MATMUL, SCAN], x, kernel, stride=stride, padding=padding, relative=2**-7)


def test_pointwise_bfloat16_agrees_to_its_own_precision():
    padding = ((0, 0), (0, 0))
    x, kernel = draw((2, 9, 8, 6), 0, jnp.bfloat16), draw((1, 1, 6, 5), 1)
    assert_same(conv, [MATMUL, SCAN], x, kernel, stride=1, padding=padding, relative=2**-7)


def test_depthwise_of_a_known_map():
    x = jnp.arange(9.0).reshape(1, 3, 3, 1)
    y = depthwise_conv(
        x, jnp.ones((3, 3, 1, 1)), stride=2, padding=((1, 1), (1, 1)), lowering=MATMUL
    )
    np.testing.assert_array_equal(y[0, :, :, 0], [[0 + 1 + 3 + 4, 12], [3 + 4 + 6 + 7, 24]])


def test_resolve():
    assert resolve("native") == TAPS  # the tests have eight devices
    assert resolve("native", batch_on_every_axis=True) == NATIVE
    on_tpu = resolve("auto", batch_on_every_axis=True, platform="tpu")
    assert on_tpu == Lowering(matmul=False, tanh_silu=True) == resolve(on_tpu)
    assert resolve("native", batch_on_every_axis=True, platform="tpu") == NATIVE
    assert resolve("matmul") == MATMUL  # shardable: no scan over the batch
    assert resolve("auto").matmul == (jax.default_backend() == "cpu")
    with pytest.raises(UsageError, match="native"):
        resolve("nativ")


@pytest.mark.parametrize("lowering", [MATMUL, TAPS])
def test_depthwise_gradients_hold_where_a_mesh_axis_does_not_split_the_batch(lowering):
    rng = np.random.default_rng(0)
    x = jnp.asarray(rng.normal(size=(8, 6, 6, 4)), jnp.float32)
    kernel = jnp.asarray(rng.normal(size=(3, 3, 1, 4)), jnp.float32)

    def loss(kernel, x, lowering):
        pad = ((1, 1), (1, 1))
        return (depthwise_conv(x, kernel, stride=1, padding=pad, lowering=lowering) ** 2).sum()

    mesh = jax.make_mesh((4, 2), ("data", "tensor"), axis_types=(jax.sharding.AxisType.Auto,) * 2)
    sharding = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec("data"))
    gradient = jax.jit(jax.grad(loss), static_argnums=2)
    sharded = gradient(kernel, jax.device_put(x, sharding), lowering)
    np.testing.assert_allclose(sharded, gradient(kernel, x, NATIVE), rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize("lowering", [NATIVE, MATMUL], ids=str)
def test_a_dilated_kernel_is_one_with_zeros_between_its_cells(lowering):
    x, kernel = draw((2, 9, 8, 3), 0), draw((3, 3, 3, 4), 1)
    for dilation in (2, 3):
        side, padding = 2 * dilation + 1, ((dilation, dilation),) * 2
        wide = jnp.zeros((side, side, 3, 4)).at[::dilation, ::dilation].set(kernel)
        cotangent = draw((2, 9, 8, 4), 2)
        dilated = functools.partial(conv, padding=padding, dilation=dilation, lowering=lowering)
        plain = functools.partial(conv, padding=padding, lowering=NATIVE)
        (found, pull), (expected, pull_wide) = jax.vjp(dilated, x, kernel), jax.vjp(plain, x, wide)
        np.testing.assert_allclose(found, expected, atol=1e-5)
        (dx, dkernel), (dx_wide, dwide) = pull(cotangent), pull_wide(cotangent)
        np.testing.assert_allclose(dx, dx_wide, atol=1e-5)
        np.testing.assert_allclose(dkernel, dwide[::dilation, ::dilation], atol=1e-4)
