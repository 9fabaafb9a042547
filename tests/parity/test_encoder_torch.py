"""The Transformer encoder against torch's `TransformerEncoderLayer`, with a key padding mask."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch

from dfjax.models.temporal_transformer import Encoder

pytestmark = pytest.mark.parity

WIDTH, HEADS, HIDDEN = 16, 4, 24
MASK = jnp.array([[True] * 6, [False, False, True, True, True, False]])
X = jax.random.normal(jax.random.key(0), (2, 6, WIDTH))


def make_torch(layers, **options):
    torch.manual_seed(0)
    layer = torch.nn.TransformerEncoderLayer(
        WIDTH, HEADS, dim_feedforward=HIDDEN, batch_first=True, **options
    )
    network = torch.nn.TransformerEncoder(layer, layers, enable_nested_tensor=False)
    for parameter in network.parameters():  # torch's biases start at 0 and all layers alike
        torch.nn.init.normal_(parameter, std=0.3)
    return network.eval()


def dense(weight, bias):
    return {"kernel": weight.T, "bias": bias}


def our_params(network, value=lambda tensor: tensor):
    """The parameters of the torch network, or what `value` makes of them, as ours."""
    params = {}
    for number, layer in enumerate(network.layers, 1):
        get = lambda tensor: jnp.array(value(tensor).detach().numpy())  # noqa: E731
        attention = layer.self_attn
        weights, biases = get(attention.in_proj_weight), get(attention.in_proj_bias)
        names = ("query", "key", "value")
        parts = zip(names, np.split(weights, 3), np.split(biases, 3))
        params[f"layer{number}"] = {
            "attention": {
                **{name: dense(weight, bias) for name, weight, bias in parts},
                "output": dense(get(attention.out_proj.weight), get(attention.out_proj.bias)),
            },
            "hidden": dense(get(layer.linear1.weight), get(layer.linear1.bias)),
            "output": dense(get(layer.linear2.weight), get(layer.linear2.bias)),
            "attention_norm": {"scale": get(layer.norm1.weight), "bias": get(layer.norm1.bias)},
            "output_norm": {"scale": get(layer.norm2.weight), "bias": get(layer.norm2.bias)},
        }
    return params


@pytest.mark.parametrize("norm_first,activation", [(True, "gelu"), (False, "relu")])
def test_two_layers_with_gradients(norm_first, activation):
    theirs = make_torch(2, norm_first=norm_first, activation=activation)
    x = torch.tensor(np.array(X), requires_grad=True)
    expected = theirs(x, src_key_padding_mask=torch.tensor(~np.array(MASK)))
    valid = torch.tensor(np.array(MASK))
    expected[valid].square().sum().backward()
    ours = Encoder(2, HEADS, HIDDEN, norm_first, activation)

    def loss(params, x):
        y = ours.apply({"params": params}, x, MASK, train=False)
        return jnp.sum(jnp.where(MASK[..., None], y, 0) ** 2), y

    gradients, y = jax.jit(jax.grad(loss, argnums=(0, 1), has_aux=True))(our_params(theirs), X)
    wanted = expected.detach().numpy()
    # values up to 10 after two layers: 1e-5 of the largest is the house's 1e-5 for layers
    scale = np.abs(wanted).max()
    np.testing.assert_allclose(y[MASK], wanted[np.array(MASK)], rtol=0, atol=1e-5 * scale)
    wanted = (our_params(theirs, lambda tensor: tensor.grad), x.grad.numpy())
    largest = max(np.abs(leaf).max() for leaf in jax.tree.leaves(wanted))
    # the keys' biases have none but rounding error, so each is measured against the largest of all
    jax.tree.map(
        lambda a, e: np.testing.assert_allclose(a, e, rtol=0, atol=1e-5 * largest),
        gradients,
        wanted,
    )
