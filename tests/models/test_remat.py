import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn
from jax.ad_checkpoint import print_saved_residuals

from dfjax.errors import UsageError
from dfjax.models.frame_encoder import encode_frames
from dfjax.models.layers import TF_BN, Compute
from dfjax.models.mbconv import MBConv, Stage
from dfjax.schema import REMAT

BLOCK = (Stage(1, 3, 1, 2, 8), 1, 8, ((1, 1), (1, 1)), 0.0, TF_BN, jax.nn.silu, False, Compute())
CLIP, MASK = jnp.linspace(-1, 1, 192).reshape(2, 2, 4, 4, 3), jnp.ones((2, 2), bool)


class Blocks(nn.Module):
    @nn.compact
    def __call__(self, images, mask, *, train):
        for number in range(2):
            images = MBConv(*BLOCK, name=f"block{number}")(images, mask, train=train)
        return images


class Encoder(nn.Module):
    policy: str

    @nn.compact
    def __call__(self, clip, mask, *, train):
        return encode_frames(Blocks(name="net"), clip, mask, train=train, remat=self.policy)["top"]


def make_loss(policy):
    encoder = Encoder(policy)
    variables = Encoder("none").init(jax.random.key(0), CLIP, MASK, train=False)

    def loss(params):
        state = {"params": params, "batch_stats": variables["batch_stats"]}
        y, new = encoder.apply(state, CLIP, MASK, train=True, mutable=["batch_stats"])
        return jnp.mean(jnp.square(y)), new

    return loss, variables["params"]


@pytest.fixture(scope="module")
def gradients():
    def compute(policy):
        loss, params = make_loss(policy)
        return jax.jit(jax.grad(loss, has_aux=True))(params)

    return {policy: compute(policy) for policy in REMAT}


@pytest.mark.slow
@pytest.mark.parametrize("policy", ["block", "all"])
def test_gradients_and_statistics_are_the_same(gradients, policy):
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5),
        gradients[policy], gradients["none"],
    )  # fmt: skip


def test_the_policy_block_keeps_one_map_per_block(capsys):
    maps = {}
    for policy in REMAT:
        loss, params = make_loss(policy)
        print_saved_residuals(lambda p, loss=loss: loss(p)[0], params)
        kept = capsys.readouterr().out.splitlines()
        maps[policy] = sum(line.startswith("f32[4,4,4,") for line in kept)
    assert maps["all"] < maps["block"] <= maps["all"] + 2 < maps["none"]


def test_an_unknown_policy_is_refused():
    with pytest.raises(UsageError, match="block"):
        make_loss("some")[0](make_loss("none")[1])
