import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dfjax.models.flow_cnn import FlowCNN

CHANNELS = (4, 8)


@pytest.fixture(scope="module")
def network():
    """A small network, its variables, the flow of two clips of four frames, and their mask."""
    network = FlowCNN(CHANNELS)
    flow = jax.random.normal(jax.random.key(0), (2, 3, 8, 8, 2))
    mask = jnp.array([[True, True, True, True], [False, True, True, False]])
    variables = network.init(jax.random.key(1), flow, mask, train=False)
    return network, variables, flow, mask


def test_flow_stands_with_the_frame_it_leads_to(network):
    network, variables, flow, mask = network
    maps, moved = network.apply(variables, flow, mask, train=False)
    assert maps.shape == (2, 4, 2, 2, 8)
    np.testing.assert_array_equal(moved, [[False, True, True, True], [False, False, True, False]])
    np.testing.assert_array_equal(maps[~np.asarray(moved)], 0)
    changed, _ = network.apply(variables, flow.at[0, 1].add(1.0), mask, train=False)
    np.testing.assert_array_equal(
        np.any(np.asarray(changed != maps), axis=(2, 3, 4)),
        [[False, False, True, False], [False, False, False, False]],
    )


def test_what_stands_beside_padding_frames_changes_nothing(network):
    network, variables, flow, mask = network
    valid = (mask[:, :-1] & mask[:, 1:])[:, :, None, None, None]
    runs = [
        network.apply(variables, x, mask, train=True, mutable=["batch_stats"])
        for x in (flow, jnp.where(valid, flow, jnp.nan))
    ]
    jax.tree.map(np.testing.assert_array_equal, *runs)


def test_one_frame_has_no_flow(network):
    network, variables, _, _ = network
    maps, moved = network.apply(
        variables, jnp.zeros((2, 0, 8, 8, 2)), jnp.ones((2, 1), bool), train=False
    )
    assert not maps.any() and not moved.any()
