import jax
import pytest

from dfjax.config import config_names, load_config
from dfjax.models import input_shapes
from dfjax.models.model_fns import make_module
from dfjax.models.registry import find_sharding_rules
from dfjax.training import sharding

OTHERS = {
    "hybrid": {"temporal": "conv_lstm", "projection": 0},
    "resnet18_bilstm": {"projection": 1024, "hidden": 512, "pyramid": 256, "frequency": "dct"}
    | {"cross_attention": True, "self_attention": True, "join": "gate", "dual_pathway": True},
    "transformer_head": {
        "temporal": "none",
        "projection": 0,
        "classifier": (8,),
        "dropout": (0.0,),
    },
    "dual_stream": {"hq": "resnet50", "lq": "xception", "padding": "same"},
    "two_stream_flow": {"backbone": "v2s"},
    "resnet50": {"embedding": 128},
    "efficientnet_b4_linear": {"backbone": "dinov3_l16", "padding": "auto"},
    "real_faces": {"backbone": "clip_b32"},
    "efficientnet_b4": {"backbone": "dinov2_l14_registers"},
}


@pytest.mark.parametrize(
    "name,others", [*((name, {}) for name in config_names()), *OTHERS.items()], ids=str
)
def test_whatever_the_options_are_large_parameters_are_split(name, others):
    config = load_config(name)
    model = config.model.name
    # the widths of the whole model, and one block of each kind
    options = config.model[model].to_dict() | others
    options |= {"one_block": True} if "one_block" in options else {}
    module = make_module(model, lowering="native", **options)
    inputs = input_shapes(model, config.preprocess.size, 1, 2, **options)
    key = jax.eval_shape(lambda: jax.random.key(0))
    shapes = jax.eval_shape(lambda key, inputs: module.init(key, inputs, train=False), key, inputs)
    mesh = sharding.make_mesh(2, 2, 2)
    found = sharding.state_shardings(shapes["params"], mesh, find_sharding_rules(model, options))
    leaves, shardings = jax.tree.leaves(shapes["params"]), jax.tree.leaves(found)
    whole = sum(leaf.size for leaf, s in zip(leaves, shardings) if s.is_fully_replicated)
    # squeeze-and-excitation is a fifth of B4, in small pieces
    assert whole < 0.25 * sum(leaf.size for leaf in leaves)
