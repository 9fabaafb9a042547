import jax
import jax.numpy as jnp
from jax import lax

from dfjax.ops.conv import conv
from dfjax.ops.depthwise import depthwise_conv
from dfjax.ops.flops import (
    count_flops,
    count_moved_bytes,
    count_operations,
    count_unfused_bytes,
)
from dfjax.ops.lowering import NATIVE


def test_matrix_product_counts_two_per_multiply_add():
    assert count_flops(lambda a, b: a @ b, jnp.ones((3, 4)), jnp.ones((4, 5))) == 2 * 3 * 4 * 5


def test_convolutions_count_their_receptive_field():
    x, pad = jnp.ones((2, 6, 6, 4)), ((1, 1), (1, 1))
    dense = count_flops(
        lambda x, k: conv(x, k, padding=pad, lowering=NATIVE), x, jnp.ones((3, 3, 4, 8))
    )
    assert dense == 2 * (2 * 6 * 6 * 8) * (9 * 4)
    depthwise = count_flops(
        lambda x, k: depthwise_conv(x, k, stride=1, padding=pad, lowering=NATIVE),
        x,
        jnp.ones((3, 3, 1, 4)),
    )
    assert depthwise == 2 * (2 * 6 * 6 * 4) * 9


def test_a_loop_counts_as_often_as_it_runs():
    def loop(x):
        return lax.scan(lambda c, _: (jax.jit(jnp.dot)(c, c), None), x, length=7)[0]

    assert count_flops(loop, jnp.ones((2, 2))) == 7 * 2 * 8
    traced = jax.make_jaxpr(loop)(jnp.ones((2, 2))).jaxpr
    assert count_operations(traced, loops=False) == 2 * 8
    assert count_unfused_bytes(traced) == 7 * 3 * 16


def test_what_every_device_does_counts_on_all_of_them():
    mesh = jax.sharding.AbstractMesh((4,), ("data",))
    split = jax.sharding.PartitionSpec("data")
    product = jax.shard_map(lambda x: x @ x.T, mesh=mesh, in_specs=split, out_specs=split)
    assert count_flops(product, jnp.ones((8, 3))) == 4 * (2 * 2 * 3 * 2)


def test_what_no_output_needs_is_not_counted():
    def both(a, b):
        unused = (a @ b).sum()
        return jnp.exp(a), unused

    a, b = jnp.ones((3, 4)), jnp.ones((4, 5))
    assert count_flops(lambda a, b: both(a, b)[0], a, b) == 0
    assert count_flops(both, a, b) == 2 * 3 * 4 * 5


def test_bytes_are_those_of_products_and_reductions():
    def step(x, w):
        y = jnp.tanh(x @ w) * 2  # element-wise operations are free
        return jax.lax.scan(lambda c, _: (c, jnp.sum(y)), 0.0, None, length=3)[1]

    x, w = jnp.ones((4, 5)), jnp.ones((5, 6), jnp.bfloat16)
    jaxpr = jax.make_jaxpr(lambda x, w: step(x, w.astype(jnp.float32)))(x, w).jaxpr
    assert count_moved_bytes(jaxpr) == 4 * (20 + 30 + 24) + 3 * 4 * 24
