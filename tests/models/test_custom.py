"""A Linen class from outside the package: its options, its contract, its defaults."""

import re
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn
from jax.sharding import PartitionSpec as P

from dfjax.errors import UsageError
from dfjax.models import build, input_extras, input_shapes, input_streams
from dfjax.models.custom import make_entry
from dfjax.models.dual_stream import DualStream
from dfjax.models.model_fns import make_module
from dfjax.models.options import REQUIRED, default_options
from dfjax.models.registry import find_sharding_rules, full_options, register_custom
from dfjax.ops.lowering import resolve


class Simple(nn.Module):
    """A minimal model, whose logits depend on the mean colour."""

    width: int = 4
    widths: tuple[int, ...] = (2, 3)

    @nn.compact
    def __call__(self, inputs, *, train):
        mask = inputs["mask"].astype(jnp.float32)
        colours = jnp.einsum("bthwc,bt->bc", inputs["rgb"], mask)
        x = nn.Dense(self.width)(colours)
        x = nn.BatchNorm(use_running_average=not train)(x)
        x = nn.Dropout(0.5, deterministic=not train)(x)
        return nn.Dense(1)(x)[:, 0]


class Detailed(nn.Module):
    """A model with all optional attributes."""

    side: int
    activation: Callable = nn.relu
    note: str | None = None
    dtype: object = jnp.float32

    sharding_rules = (("kernel$", P("fsdp", "tensor")),)

    @staticmethod
    def input_streams(options, size):
        return {"rgb": size, "small": options["side"]}

    @staticmethod
    def input_extras(options):
        return ("flow",)

    @staticmethod
    def check_options(options):
        if options["side"] % 2:
            raise UsageError("side is even")

    @nn.compact
    def __call__(self, inputs, *, train):
        x = inputs["small"].mean((1, 2, 3)) + inputs["flow"].mean()
        x = self.activation(nn.Dense(8, dtype=self.dtype)(x))
        return nn.Dense(1, dtype=self.dtype)(x)[:, 0], {"features": x}


SIMPLE, DETAILED = f"{__name__}:Simple", f"{__name__}:Detailed"


def draw(shapes):
    rng = np.random.default_rng(0)
    return {
        name: jnp.ones(s.shape, bool) if name == "mask" else jnp.float32(rng.random(s.shape))
        for name, s in shapes.items()
    }


def test_the_least_module_is_a_model():
    model = build(SIMPLE, width=8)
    inputs = draw(input_shapes(SIMPLE, 8, 3, 2, width=8))
    assert list(inputs) == ["rgb", "mask"] and inputs["rgb"].shape == (3, 2, 8, 8, 3)
    variables = model.init(jax.random.key(0), inputs)
    assert variables["params"]["Dense_0"]["kernel"].shape == (3, 8)
    logits, outputs, stats = model.apply(variables, inputs, train=False, rngs=None)
    assert logits.shape == (3,) and outputs == {} and stats is variables["batch_stats"]
    _, _, stats = model.apply(variables, inputs, train=True, rngs={"dropout": jax.random.key(1)})
    mean = stats["BatchNorm_0"]["mean"]
    assert np.abs(mean - variables["batch_stats"]["BatchNorm_0"]["mean"]).max() > 0


def test_options_are_the_plain_fields():
    assert default_options(Simple) == {"width": 4, "widths": (2, 3)}
    assert default_options(Detailed) == {"side": REQUIRED, "note": None}
    assert full_options(SIMPLE, {"widths": [5]}) == {"width": 4, "widths": (5,)}
    with pytest.raises(UsageError, match="Did you mean 'width'"):
        build(SIMPLE, widht=3)
    for options in ({}, {"side": None}):
        with pytest.raises(UsageError, match="has no default for side"):
            build(DETAILED, **options)


def test_what_the_class_says_of_itself_is_used():
    assert input_streams(DETAILED, 16, side=8) == {"rgb": 16, "small": 8}
    assert input_extras(DETAILED, side=8) == ("flow",)
    assert find_sharding_rules(DETAILED) == Detailed.sharding_rules
    with pytest.raises(UsageError, match="side is even"):
        build(DETAILED, side=7)
    assert input_streams(SIMPLE, 16) == {"rgb": 16} and input_extras(SIMPLE) == ()
    with pytest.raises(UsageError, match=re.escape(f"{SIMPLE} has no sharding rules")):
        find_sharding_rules(SIMPLE)


def test_precision_and_lowering_reach_the_fields_of_these_names():
    class Asks(nn.Module):
        compute: object = None
        dtype: object = None
        lowering: object = None

    name, options = register_custom(Asks())
    module = make_module(name, lowering="native", dtype=jnp.bfloat16, **options)
    assert options == {}
    assert (module.dtype, module.lowering) == (jnp.bfloat16, resolve("native"))
    assert (module.compute.dtype, module.compute.lowering) == (jnp.bfloat16, resolve("native"))
    model = build(DETAILED, dtype=jnp.bfloat16, side=8)
    inputs = draw(input_shapes(DETAILED, 16, 2, 2, side=8))
    variables = model.init(jax.random.key(0), inputs)
    logits, outputs, _ = model.apply(variables, inputs, train=False, rngs=None)
    assert (logits.dtype, outputs["features"].dtype) == (jnp.float32, jnp.bfloat16)


def test_a_module_object_gives_its_name_and_options():
    assert register_custom(Simple(width=3)) == (SIMPLE, {"width": 3, "widths": (2, 3)})
    assert register_custom(DualStream(width=0.5))[0] == "dual_stream"
    assert register_custom(Detailed(side=2)).options == {"side": 2, "note": None}
    with pytest.raises(UsageError, match="Detailed.activation is .*config cannot store"):
        register_custom(Detailed(side=2, activation=nn.gelu))


def test_what_does_not_keep_the_contract_is_named():
    class Column(nn.Module):
        @nn.compact
        def __call__(self, inputs, *, train):
            return nn.Dense(1)(inputs["rgb"].mean((1, 2, 3)))

    class Counts(nn.Module):
        @nn.compact
        def __call__(self, inputs, *, train):
            self.variable("cache", "calls", jnp.zeros, ())
            return inputs["rgb"].mean((1, 2, 3, 4))

    column, counts = register_custom(Column()).name, register_custom(Counts()).name
    inputs = draw(input_shapes(column, 8, 2, 1))
    model = build(column)
    variables = model.init(jax.random.key(0), inputs)
    with pytest.raises(UsageError, match=r"one logit per clip.*\(2, 1\)"):
        model.apply(variables, inputs, train=False, rngs=None)
    with pytest.raises(UsageError, match=r"has the collections \['cache'\]"):
        build(counts).init(jax.random.key(0), inputs)
    for path in ("jax.numpy:sin", f"{__name__}:draw", f"{__name__}:SIMPLE"):
        with pytest.raises(UsageError, match="not a subclass of flax.linen.Module"):
            make_entry(path)
