"""Adapters change nothing at first, are merged as by hand, and have the penalties of the paper."""

import functools
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax.traverse_util import flatten_dict
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from dfjax.bench.hlo_figures import measure_traffic
from dfjax.bench.hlo_text import parse_module
from dfjax.config import load_config
from dfjax.errors import UsageError
from dfjax.models import build, input_shapes
from dfjax.models.adapters import (
    FIXED,
    Adapter,
    adapt,
    compute_penalties,
    init_adapters,
    merge_adapters,
    merge_variables,
    split_adapters,
)

ATTENTION = ("attention/(query|key|value|output)/kernel$",)
LORA = Adapter("lora", ATTENTION, rank=3, alpha=6.0)
SVD = Adapter("svd", ATTENTION, rank=2)
OPTIONS = {"backbone": "clip_t8", "width": 1 / 3, "one_block": True, "hidden": (), "dropout": ()}


@functools.cache
def plain():
    """Returns a small model, inputs and its variables."""
    model = build("frame_classifier", lowering="native", **OPTIONS)
    shapes = input_shapes("frame_classifier", 16, 2, 1, **OPTIONS)
    inputs = {"rgb": jax.random.normal(jax.random.key(1), shapes["rgb"].shape),
              "mask": jnp.ones(shapes["mask"].shape, bool)}  # fmt: skip
    return model, inputs, jax.jit(model.init)(jax.random.key(0), inputs)


@functools.cache
def adapted(adapter):
    """Returns the model with adapters and its variables."""
    model, inputs, _ = plain()
    changed = adapt(model, adapter, ["backbone"])
    return changed, jax.jit(changed.init)(jax.random.key(0), inputs)


def disturb(params):
    """Returns parameters whose adapters are no longer those of the start."""
    rng = np.random.default_rng(0)

    def change(path, leaf):
        name = jax.tree_util.keystr(path, simple=True, separator="/")
        fixed = "first_" in name
        return leaf if fixed else leaf + 0.1 * rng.normal(size=leaf.shape).astype(np.float32)

    moved = jax.tree_util.tree_map_with_path(change, params["adapters"])
    return {**params, "adapters": moved}


def adapters_of(params):
    """Returns the parts of the adapter of every kernel, as float64 arrays."""
    found = {}
    for path, leaf in flatten_dict(params["adapters"], sep="/").items():
        kernel, name = path.rsplit("/", 1)
        found.setdefault(kernel, {})[name] = np.asarray(leaf, np.float64)
    return found


@pytest.mark.parametrize("adapter", [LORA, SVD], ids=["lora", "svd"])
def test_adapters_change_nothing_at_first(adapter):
    model, inputs, variables = plain()
    changed, own = adapted(adapter)
    for path, leaf in flatten_dict(variables["params"], sep="/").items():
        np.testing.assert_array_equal(leaf, flatten_dict(own["params"], sep="/")[path])
    apply = functools.partial(model.apply, train=False, rngs=None)
    logits, outputs, _ = changed.apply(own, inputs, train=False, rngs=None)
    np.testing.assert_allclose(logits, apply(variables, inputs)[0], atol=1e-6)
    for name in ("orthogonality", "singular_values") if adapter is SVD else ():
        assert outputs[name].shape == logits.shape
        np.testing.assert_allclose(outputs[name], 0.0, atol=1e-6)
    # merged parameters are those of the plain model, and give the same logits
    own = {**own, "params": disturb(own["params"])}
    logits = changed.apply(own, inputs, train=False, rngs=None)[0]
    merged = merge_variables(own, adapter)
    assert jax.tree.structure(merged["params"]) == jax.tree.structure(variables["params"])
    np.testing.assert_allclose(logits, apply(merged, inputs)[0], atol=1e-6)
    assert np.abs(logits - apply(variables, inputs)[0]).max() > 1e-4


EVERYWHERE = ("(attention|mlp|patch_embedding|logits)/.*kernel$",)
SOME = ("stage1_block3/attention/(query|value)/kernel$", "stage1_block1/mlp/hidden/kernel$")


@pytest.mark.parametrize("lowering", ["native", "matmul"])
@pytest.mark.parametrize("scan", [False, True], ids=["blocks", "scan"])
@pytest.mark.parametrize(
    ("adapter", "count"),
    [
        (Adapter("lora", EVERYWHERE, 1, 3.0), 3 * (4 + 2)),
        (Adapter("lora", SOME, 1, 3.0), 3),
        (Adapter("svd", ATTENTION, 2), 3 * 4),
    ],
    ids=["everywhere", "some blocks", "svd"],
)
def test_factors_have_the_logits_and_gradients_of_merged_kernels(adapter, count, scan, lowering):
    """Layers of tokens have factors, others merged kernels."""
    options = OPTIONS | {"one_block": False, "scan_blocks": scan, "drop_path": 0.0}
    options["input_dropout"] = 0.0
    model, inputs = build("frame_classifier", lowering=lowering, **options), plain()[1]
    by_factors, merged = (adapt(model, adapter, parts) for parts in (["backbone"], []))
    own = jax.jit(merged.init)(jax.random.key(0), inputs)
    own = {**own, "params": disturb(own["params"])}
    factors = flatten_dict(
        split_adapters(own["params"], adapter, ["backbone"])["low_rank"], sep="/"
    )
    assert len(factors) == 2 * count
    assert all("/attention/" in path or "/mlp/" in path for path in factors)
    assert split_adapters(own["params"], adapter, [])["low_rank"] == {}

    def loss(params, apply):
        logits = apply({**own, "params": params}, inputs, train=True, rngs=None)[0]
        return jnp.square(logits - 1).sum(), logits

    (given, wanted) = (
        jax.jit(jax.grad(functools.partial(loss, apply=fns.apply), has_aux=True))(own["params"])
        for fns in (by_factors, merged)
    )
    np.testing.assert_allclose(given[1], wanted[1], atol=1e-5)
    jax.tree.map(
        functools.partial(np.testing.assert_allclose, atol=1e-4, rtol=1e-4), given[0], wanted[0]
    )
    plain_kernels = {k: v for k, v in own["params"].items() if k != "adapters"}
    without = model.apply({**own, "params": plain_kernels}, inputs, train=False, rngs=None)[0]
    assert np.abs(given[1] - without).max() > 1e-4


@pytest.mark.parametrize("adapter", [LORA, SVD], ids=["lora", "svd"])
def test_gradients_of_adapters_are_summed_without_those_of_kernels(adapter):
    """On eight devices, no sum over devices has the size of an adapted kernel."""
    _, inputs, _ = plain()
    changed, own = adapted(adapter)
    mesh = Mesh(jax.devices(), ("data",))
    batch = {key: jnp.tile(leaf, (4, *[1] * (leaf.ndim - 1))) for key, leaf in inputs.items()}
    batch = jax.device_put(batch, NamedSharding(mesh, PartitionSpec("data")))

    def loss(adapters, own, batch):
        variables = {**own, "params": {**own["params"], "adapters": adapters}}
        return jnp.square(changed.apply(variables, batch, train=False, rngs=None)[0]).sum()

    program = jax.jit(jax.grad(loss)).lower(own["params"]["adapters"], own, batch).compile()
    traffic = measure_traffic(parse_module(program.as_text()), 8)
    summed = sum(found.bytes for found in traffic.collectives)
    kernels = 4 * 32 * 32 * 4  # bytes
    assert 0 < summed < kernels / 2


def test_lora_by_hand():
    params = disturb(adapted(LORA)[1]["params"])
    merged = flatten_dict(merge_adapters(params, LORA), sep="/")
    kernels = flatten_dict(params, sep="/")
    found = adapters_of(params)
    assert len(found) == 4
    for path, parts in found.items():
        wanted = kernels[path] + 6.0 / 3 * parts["down"] @ parts["up"]
        np.testing.assert_allclose(merged[path], wanted, atol=1e-6)


def test_the_smallest_singular_values_are_split_off():
    params = adapted(SVD)[1]["params"]
    kernels = flatten_dict(params, sep="/")
    for path, parts in adapters_of(params).items():
        values = np.linalg.svd(np.asarray(kernels[path], np.float64), compute_uv=False)
        np.testing.assert_allclose(parts["values"], values[-2:], atol=1e-5)
        rest = kernels[path] - parts["left"] * parts["values"] @ parts["right"]
        left = np.linalg.svd(rest, compute_uv=False)
        np.testing.assert_allclose(left[:-2], values[:-2], atol=1e-5)
        np.testing.assert_allclose(left[-2:], 0.0, atol=1e-5)  # of rank n - 2


def test_penalties_are_those_of_all_singular_vectors():
    """With the fixed vectors written out, as in the paper, the penalties are the same."""
    params = disturb(adapted(SVD)[1]["params"])
    kernels = flatten_dict(params, sep="/")
    angles, norms = [], []
    for path, parts in adapters_of(params).items():
        kernel = np.asarray(kernels[path], np.float64)
        left, values, right = np.linalg.svd(kernel)
        fixed = left[:, :-2] * values[:-2] @ right[:-2]
        left = np.concatenate([left[:, :-2], parts["left"]], axis=1)
        right = np.concatenate([right[:-2], parts["right"]])
        one = np.eye(len(kernel))
        angles.append(((left.T @ left - one) ** 2).sum() + ((right @ right.T - one) ** 2).sum())
        now = fixed + parts["left"] * parts["values"] @ parts["right"]
        norms.append(abs((now**2).sum() - (kernel**2).sum()))
    found = compute_penalties(params)
    np.testing.assert_allclose(found["orthogonality"], np.mean(angles), rtol=1e-4)
    np.testing.assert_allclose(found["singular_values"], np.mean(norms), rtol=1e-3)


def test_effort_trains_one_singular_value_of_every_attention_kernel():
    config = load_config("effort")
    options = config.model.frame_classifier.to_dict()
    model = adapt(build("frame_classifier", **options), Adapter(**config.adapter))
    inputs = input_shapes("frame_classifier", 224, 1, 1, **options)
    key = jax.eval_shape(lambda: jax.random.key(0))
    params = flatten_dict(jax.eval_shape(model.init, key, inputs)["params"], sep="/")
    frozen = (*config.optimizer.freeze, FIXED)
    sizes = {path: leaf.size for path, leaf in params.items()
             if not any(re.search(pattern, path) for pattern in frozen)}  # fmt: skip
    head = {path: size for path, size in sizes.items() if path.startswith("logits/")}
    assert sum(head.values()) == 2 * 1024 + 2
    kernels = 24 * 4
    assert sum(sizes.values()) - sum(head.values()) == kernels * (1024 + 1 + 1024) == 196_704
    assert params["adapters/backbone/stage1_block24/attention/output/kernel/left"].shape == (
        1024,
        1,
    )


def test_by_default_the_kernels_are_those_of_the_backbone_alone():
    """The Transformer over frames has attention too, which is trained anyway."""
    config = load_config("transformer_head", ["model.clip_detector.backbone=clip_t8"])
    options = config.model.clip_detector.to_dict() | {"features": 0, "one_block": True}
    model = adapt(build("clip_detector", **options), Adapter("lora", config.adapter.kernels))
    inputs = input_shapes("clip_detector", 64, 1, 2, **options)
    key = jax.eval_shape(lambda: jax.random.key(0))
    params = flatten_dict(jax.eval_shape(model.init, key, inputs)["params"], sep="/")
    assert any(re.search(ATTENTION[0], path) for path in params if path.startswith("encoder/"))
    start = "adapters/backbone/stage1_block1/attention/"
    wanted = {f"{start}{name}/kernel" for name in ("query", "key", "value", "output")}
    assert {path.rpartition("/")[0] for path in params if path.startswith("adapters/")} == wanted


@pytest.mark.parametrize(
    "adapter,message",
    [
        (Adapter("svd", ("mlp/hidden/kernel$",)), "square"),
        (Adapter("lora", ("attention/query/kernel$",), rank=32), "rank=32"),
        (Adapter("lora", ("nothing",)), "'nothing' matches no parameter"),
        (Adapter("lora", ("query/bias$",)), "is no kernel"),
        (Adapter("lora"), "needs adapter.kernels"),
    ],
)
def test_impossible_adapters_are_errors(adapter, message):
    params = plain()[2]["params"]
    with pytest.raises(UsageError, match=message):
        jax.eval_shape(functools.partial(init_adapters, adapter=adapter), jax.random.key(0), params)


def test_unknown_kinds_name_the_known_ones():
    with pytest.raises(UsageError, match="lora"):
        adapt(plain()[0], Adapter("prefix"))
