"""Every config as a program in another runtime, with random parameters."""

import jax
import numpy as np
import pytest
from flax import linen as nn
from stored_networks import make_saved

from dfjax.config import config_names
from dfjax.experiment.saved import read_saved
from dfjax.exporting.formats import FORMATS
from dfjax.inference.export_program import make_examples, make_program, run_program
from dfjax.weights.safetensors_file import save_safetensors

pytestmark = pytest.mark.usefixtures("compiled_quickly")

STEEP = (
    10  # times the tolerance is how much outputs of clips differ, so that equality says something
)


def check(spec, name, tmp_path, *, mask=False, clips=8, sizes=(1, 5, 8), unit=False, overrides=()):
    """Writes and reads a program, and compares batches of several sizes with the checkpoint.

    The checkpoint computes `clips` at once; in batches of another size, sums differ in the last
    bits.
    """
    return check_saved(make_saved(spec, unit, overrides), name, tmp_path, mask, clips, sizes)


def check_saved(saved, name, tmp_path, mask=False, clips=8, sizes=(1, 5, 8)):
    form = FORMATS[name]
    form.save(tmp_path / "program", make_program(saved, {"format": "dfjax"}, mask=mask))
    call = form.open(tmp_path / "program")
    reference = make_program(saved, {}, mask=mask, lowering="auto")
    examples = [x[:clips] for x in make_examples(reference)]
    wanted = run_program(reference, *examples).astype(np.float64)
    assert wanted.std() > STEEP * form.tolerance
    for size in sizes:
        found = call(*(x[:size] for x in examples))
        assert found.dtype == (np.uint8 if reference.output == "restored" else np.float32)
        limit = 1 if reference.output == "restored" else form.tolerance  # 1 grey level: rounding
        np.testing.assert_allclose(found.astype(np.float64), wanted[:size], rtol=0, atol=limit)
    return wanted


@pytest.mark.slow
@pytest.mark.parametrize("spec", ["dual_stream:smoke", "two_stream_flow:smoke", "defake:smoke"])
def test_stablehlo(spec, tmp_path):
    check(spec, "stablehlo", tmp_path, clips=5, sizes=(5,))


@pytest.mark.export
@pytest.mark.parametrize("name", config_names())
def test_onnx(name, tmp_path):
    check(f"{name}:smoke", "onnx", tmp_path, unit=name == "sbi")  # normal inputs differ far more


@pytest.mark.export
@pytest.mark.parametrize(
    "name", ["dual_stream", "two_stream_flow", "transformer_head", "resnet18_bilstm", "defake"]
)
def test_torch(name, tmp_path):
    check(f"{name}:smoke", "torch", tmp_path)


VIT = "model.frame_classifier."
TRANSFORMERS = {
    "scanned": (f"{VIT}scan_blocks=True", f"{VIT}one_block=False"),  # as `gend` and `effort` are
    "dinov2": (f"{VIT}backbone=dinov2_b14_registers", f"{VIT}width={1 / 24}", "preprocess.size=28"),
    "dinov3": (f"{VIT}backbone=dinov3_b16", f"{VIT}width={1 / 24}", "preprocess.size=32"),
}
PROGRAMS = [
    pytest.param("stablehlo", marks=pytest.mark.slow),
    *(pytest.param(form, marks=pytest.mark.export) for form in ("onnx", "torch")),
]


@pytest.mark.parametrize("form", PROGRAMS)
@pytest.mark.parametrize("kind", TRANSFORMERS)
def test_vision_transformers(kind, form, tmp_path):
    check("gend:smoke", form, tmp_path, clips=5, sizes=(5,), overrides=TRANSFORMERS[kind])


@pytest.mark.parametrize("form", PROGRAMS)
@pytest.mark.parametrize("name", ["lora", "svd"])
def test_adapters_are_merged_into_their_kernels(name, form, tmp_path):
    adapted = make_saved("gend:smoke", overrides=(f"adapter.name={name}", "adapter.rank=2"))
    rng, params = np.random.default_rng(0), adapted.variables["params"]
    trained = jax.tree.map(lambda x: x + rng.normal(0, 0.1, x.shape), params["adapters"])
    params = params | {"adapters": jax.tree.map(np.float32, trained)}
    variables = adapted.variables | {"params": params}
    stored = tmp_path / "adapted.safetensors"
    save_safetensors(stored, variables, metadata={"config": adapted.config.to_dict()})
    merged = read_saved(stored)
    assert merged.config.adapter.name == "none"
    found = check_saved(merged, form, tmp_path, clips=5, sizes=(5,))
    program = make_program(adapted._replace(variables=variables), {})
    np.testing.assert_allclose(found, run_program(program, *make_examples(program))[:5], atol=1e-5)


class OneConv(nn.Module):
    """A backbone of one convolution, which compiles fast."""

    @nn.compact
    def __call__(self, images, mask, *, train):
        return nn.tanh(nn.Conv(16, (5, 5), (4, 4), name="conv")(images))


STREAMS = (
    f"model.frame_classifier.backbone={__name__}:OneConv",
    "model.frame_classifier.streams=('rgb','srm','phase')",
)


def test_stablehlo_computes_noise_and_phase(tmp_path):
    check("resnet18:smoke", "stablehlo", tmp_path, clips=5, sizes=(5,), overrides=STREAMS)


@pytest.mark.export
@pytest.mark.parametrize("form", ["onnx", "torch"])
def test_programs_compute_noise_and_phase(form, tmp_path):
    check("resnet18:smoke", form, tmp_path, overrides=STREAMS)


@pytest.mark.export
@pytest.mark.parametrize("form", ["onnx", "torch"])
def test_masked_frames_are_an_input(form, tmp_path):
    masked = check("resnet18_bilstm:smoke", form, tmp_path, mask=True)
    saved = make_saved("resnet18_bilstm:smoke")
    program = make_program(saved, {})
    clips = make_examples(program)
    assert np.abs(run_program(program, *clips) - masked).max() > 1e-3
