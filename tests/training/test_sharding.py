import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import PartitionSpec as P

from dfjax.errors import UsageError
from dfjax.ops.depthwise import depthwise_conv
from dfjax.ops.lowering import NATIVE, resolve
from dfjax.training import sharding


def mesh(data=2, fsdp=2, tensor=2):
    return sharding.make_mesh(data, fsdp, tensor)


def shapes(**arrays):
    return {k: jax.ShapeDtypeStruct(v, jnp.float32) for k, v in arrays.items()}


def test_minus_one_takes_the_devices_that_are_left():
    assert dict(mesh(-1, 2, 2).shape) == {"data": 2, "fsdp": 2, "tensor": 2}


def test_axes_that_do_not_multiply_to_the_devices_are_refused():
    with pytest.raises(UsageError, match="needs 6 devices, but there are 8"):
        mesh(3, 2, 1)


def test_a_batch_that_does_not_divide_names_the_nearest_sizes():
    sharding.check_batch(8, mesh(4, 2, 1), "train.batch_size")
    with pytest.raises(UsageError, match="=10 does not divide over 8 devices; .* 8 or 16"):
        sharding.check_batch(10, mesh(4, 2, 1), "train.batch_size")
    sharding.check_batch(16, mesh(4, 2, 1), "train.batch_size", parts=2)
    sharding.check_batch(8, mesh(4, 2, 1), "train.batch_size", pairs=True)
    with pytest.raises(UsageError, match="2 parts of pairs of a real and a fake clip; .* 32"):
        sharding.check_batch(16, mesh(4, 2, 1), "train.batch_size", parts=2, pairs=True)


def test_the_first_matching_rule_wins_and_moments_follow_their_parameter():
    tree = {"params": shapes(kernel=(4, 8)), "opt": {"mu": shapes(kernel=(4, 8), bias=(8,))}}
    rules = [("kernel$", P("fsdp", "tensor")), ("bias$", P())]
    found = sharding.state_shardings(tree, mesh(), rules)
    assert (
        found["params"]["kernel"].spec == found["opt"]["mu"]["kernel"].spec == P("fsdp", "tensor")
    )
    assert found["opt"]["mu"]["bias"].is_fully_replicated


def test_a_rule_that_matches_nothing_is_an_error():
    with pytest.raises(UsageError, match="'kernal' matches no parameter"):
        sharding.state_shardings(shapes(kernel=(4, 8)), mesh(), [("kernal", P())])


def test_a_large_parameter_without_a_rule_is_an_error_only_where_it_could_be_split():
    large = shapes(kernel=(1024, 1024))
    with pytest.raises(UsageError, match="no sharding rule matches the large parameter kernel"):
        sharding.state_shardings(large, mesh(), [])
    assert sharding.state_shardings(large, mesh(8, 1, 1), [])["kernel"].spec == P()


def test_a_dimension_that_does_not_divide_is_an_error():
    with pytest.raises(UsageError, match="3 does not divide over 2"):
        sharding.state_shardings(shapes(kernel=(3, 8)), mesh(), [("kernel", P("fsdp", None))])


def test_put_batch_splits_over_all_axes():
    batch = sharding.put_batch({"clip": np.arange(16.0).reshape(8, 2)}, mesh())
    assert batch["clip"].sharding.spec == sharding.BATCH_SPEC
    assert batch["clip"].addressable_shards[0].data.shape == (1, 2)
    np.testing.assert_array_equal(batch["clip"], np.arange(16.0).reshape(8, 2))


@pytest.mark.parametrize("shape", [(8, 1, 1), (4, 2, 1), (2, 2, 2), (1, 8, 1)], ids=str)
def test_native_depthwise_gradients_of_a_split_batch_are_those_of_one_device(shape):
    on_mesh = mesh(*shape)
    rng = np.random.default_rng(0)
    x = jnp.asarray(rng.normal(size=(16, 6, 6, 8)), jnp.float32)
    kernel = jnp.asarray(rng.normal(size=(3, 3, 1, 8)), jnp.float32)
    lowering = resolve("native", batch_on_every_axis=sharding.BATCH_AXES == sharding.AXES)
    assert (
        lowering == NATIVE
    )  # the form whose gradient is wrong if an axis does not split the batch
    split = jax.sharding.NamedSharding(on_mesh, P(None, None, None, ("fsdp", "tensor")))

    def gradient(kernel, batch, shardings):
        def loss(kernel):
            pad, stride = ((1, 1), (1, 1)), 2
            y = depthwise_conv(batch["x"], kernel, stride=stride, padding=pad, lowering=lowering)
            return jnp.sum(y**2)

        return sharding.split_like(jax.grad(loss)(sharding.gather(kernel, shardings)), shardings)

    expected = jax.jit(gradient, static_argnums=2)(kernel, {"x": x}, None)
    batch = sharding.put_batch({"x": np.asarray(x)}, on_mesh)
    found = jax.jit(lambda k, b: gradient(k, b, split))(jax.device_put(kernel, split), batch)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5 * np.abs(expected).max())
