"""A backbone from outside the package under the detectors of the package."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from dfjax.errors import UsageError
from dfjax.models import build, input_shapes
from dfjax.models.backbones import backbone_channels, make_backbone
from dfjax.models.frame_features import build_backbone
from dfjax.models.layers import Compute
from dfjax.models.layouts import place
from dfjax.models.registry import find_entry, full_options
from dfjax.models.summary import compute_summary


class Plain(nn.Module):
    """Maps alone, no option but its own."""

    channels: int = 12

    @nn.compact
    def __call__(self, images, mask, *, train):
        return nn.relu(nn.Conv(self.channels, (3, 3), (8, 8))(images))


class Scaled(nn.Module):
    """Endpoints, and fields that the models' options fill."""

    width: float = 1.0
    one_block: bool = False
    padding: str = "symmetric"

    @nn.compact
    def __call__(self, images, mask, *, train):
        stem = nn.Conv(8, (3, 3), (4, 4))(images)
        return {"stem": stem, "top": nn.Conv(int(16 * self.width), (1, 1))(stem[:, ::2, ::2])}


PLAIN, SCALED = f"{__name__}:Plain", f"{__name__}:Scaled"


def test_its_fields_get_the_options_of_these_names():
    module = make_backbone(
        SCALED, width=0.5, one_block=True, padding="same", compute=Compute(), module_name="net"
    )
    assert (module.width, module.one_block, module.padding) == (0.5, True, "same")
    assert module.name == "net"
    assert make_backbone(SCALED, compute=Compute()).padding == "symmetric"
    assert backbone_channels(SCALED, 0.5) == 8 and backbone_channels(PLAIN, 0.5) == 12


@pytest.mark.parametrize(
    ("model", "options"),
    [
        ("frame_classifier", {"backbone": PLAIN, "hidden": (8,)}),
        ("clip_detector", {"backbone": PLAIN, "temporal": "transformer", "heads": 3}),
        ("clip_detector", {"backbone": SCALED, "pyramid": 8, "hidden": 8}),
        ("two_stream", {"backbone": PLAIN, "flow": False, "conv_lstm": (8,)}),
        ("dual_stream", {"hq": SCALED, "lq": PLAIN, "lq_size": 16, "conv_lstm": (8,)}),
    ],
)
def test_every_detector_takes_it(model, options):
    summary = compute_summary(model, size=32, frames=2, options=options)
    nodes, _ = place(find_entry(model).layout(full_options(model, options), summary))
    assert sum(node.box.params for node in nodes) == summary.parameters
    assert {"Plain", "Scaled"} & {node.box.title for node in nodes}


def test_a_frame_classifier_computes_with_it():
    options = {"backbone": PLAIN, "hidden": (), "dropout": (), "input_dropout": 0.0, "classes": 1}
    model = build("frame_classifier", **options)
    shapes = input_shapes("frame_classifier", 16, 2, 3, **options)
    rgb = np.random.default_rng(0).random(shapes["rgb"].shape).astype(np.float32)
    rgb, mask = jnp.asarray(rgb), jnp.array([[1, 1, 0], [1, 1, 1]], bool)
    inputs = {"rgb": rgb, "mask": mask}
    variables = model.init(jax.random.key(0), inputs)
    logits, outputs, _ = model.apply(variables, inputs, train=False, rngs=None)
    features = build_backbone(PLAIN)
    below = {"params": variables["params"]["backbone"], "batch_stats": {}}
    first = features.apply(below, rgb[:, 0])
    head = variables["params"]["logits"]
    np.testing.assert_allclose(
        outputs["frame_logits"][:, 0], (first @ head["kernel"] + head["bias"])[:, 0], atol=1e-5
    )
    assert logits.shape == (2,) and outputs["frame_logits"][0, 2] == 0


def test_what_is_no_backbone_is_named():
    with pytest.raises(
        UsageError, match="jax.numpy:sin is not a subclass.*a backbone is one whose"
    ):
        build("frame_classifier", backbone="jax.numpy:sin")
    with pytest.raises(UsageError, match="not imported"):
        build("frame_classifier", backbone="nowhere.nets:Net")
    with pytest.raises(UsageError, match="the width 12 is not divisible by 24 heads"):
        build("clip_detector", backbone=PLAIN, temporal="transformer", heads=24)
