"""Kernels as int8 and bfloat16, and files that hold them."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from safetensors.numpy import load_file, save_file
from stored_networks import make_saved

import dfjax
from dfjax.errors import FileError, UsageError
from dfjax.experiment.saved import read_saved
from dfjax.inference import export as exporting
from dfjax.inference.weight_files import import_weights
from dfjax.weights.rounding import (
    KINDS,
    is_kernel,
    pack,
    pack_arrays,
    pack_variables,
    round_variables,
    unpack,
    unpack_arrays,
    unpack_variables,
)
from dfjax.weights.safetensors_file import flatten, load_safetensors, read_header

KIND_IN_MLIR = {"int8": "i8", "bf16": "bf16"}


def test_int8_by_hand():
    array = np.float32([[127, -1, 0], [-63.4, 0.505, 0], [0.5, 0.25, 0]])
    values, scale = pack(array, "int8")
    assert values.dtype == np.int8 and scale.shape == (1, 3)
    np.testing.assert_array_equal(values, [[127, -127, 0], [-63, 64, 0], [0, 32, 0]])
    np.testing.assert_allclose(scale, [[1, 1 / 127, 1]], rtol=2**-16)


@pytest.mark.parametrize("axis", [0, 1, 2, 3])
def test_an_error_is_at_most_half_a_scale_and_a_second_rounding_changes_nothing(axis):
    rng = np.random.default_rng(axis)
    size = np.float32(10) ** rng.uniform(-20, 20, (1, 1, 1, 9)).astype(np.float32)
    array = np.moveaxis(rng.normal(size=(3, 5, 7, 9)).astype(np.float32) * size, 3, axis)
    packed = pack(array, "int8", axis)
    assert abs(packed.values).max() == 127 and packed.scale.size == 9
    found = unpack(packed)
    assert found.dtype == np.float32
    assert (np.abs(found - array) <= 0.5001 * packed.scale).all()
    exact = packed.values.astype(np.float64) * packed.scale  # every product is a float32
    np.testing.assert_array_equal(found, exact)
    again = pack(found, "int8", axis)
    np.testing.assert_array_equal(again.values, packed.values)
    np.testing.assert_array_equal(again.scale, packed.scale)


def test_channels_of_tiny_numbers_are_zero():
    values, scale = pack(np.float32([[1e-40, 1e-31, 0, 1e-20]]), "int8")
    assert values.tolist() == [[0, 0, 0, 127]] and scale[0, :3].tolist() == [1, 1, 1]


def test_bf16_has_8_significant_bits():
    array = np.float32([[1 + 2**-8, 1 + 3 * 2**-8, -3e38]])
    found = unpack(pack(array, "bf16"))
    np.testing.assert_array_equal(found[0, :2], [1, 1 + 2**-6])  # ties go to the even number
    np.testing.assert_allclose(found, array, rtol=2**-8)


@pytest.mark.parametrize("kind", KINDS)
def test_kernels_alone_are_rounded(kind):
    variables = make_saved("resnet18_bilstm:smoke").variables
    before, after = flatten(variables), flatten(round_variables(variables, kind))
    assert before.keys() == after.keys()
    changed = {key for key in before if not np.array_equal(before[key], after[key])}
    kernels = {k for k, x in before.items() if k.endswith(("kernel", "recurrent")) and x.ndim > 1}
    assert changed == (kernels if kind != "float32" else set())
    assert all(after[key].dtype == before[key].dtype for key in before)
    stored = unpack_arrays(pack_arrays(before, kind), source="f")
    for key, array in after.items():
        np.testing.assert_array_equal(stored[key], array)
    if kind != "float32":
        traced = jax.jit(unpack_variables)(pack_variables(variables, kind))
        jax.tree.map(np.testing.assert_array_equal, traced, round_variables(variables, kind))


def _damage(arrays, kind):
    key = next(key for key in arrays if key.startswith("scales."))
    if kind == "absent":
        del arrays[key]
    elif kind == "shape":
        arrays[key] = np.append(arrays[key], np.float32(1))
    elif kind == "dtype":
        arrays[key] = arrays[key].astype(np.float64)
    elif kind == "not finite":
        arrays[key][0] = np.nan
    else:
        del arrays[key.removeprefix("scales.")]


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("absent", "lacks one"),
        ("alone", "lacks one"),
        ("shape", "one float32 per output channel"),
        ("dtype", "one float32 per output channel"),
        ("not finite", "not finite"),
    ],
)
def test_damaged_scales_are_refused(kind, message, tmp_path):
    arrays = pack_arrays(flatten(make_saved("meso4:smoke").variables), "int8")
    _damage(arrays, kind)
    save_file(arrays, str(tmp_path / "w"), metadata={"kernels": '"int8"'})
    with pytest.raises(FileError, match=message):
        load_safetensors(tmp_path / "w")


def test_an_unknown_kind_is_refused(tmp_path):
    save_file({"params.a": np.zeros(2)}, str(tmp_path / "w"), metadata={"kernels": '"int3"'})
    with pytest.raises(FileError, match="int3.*known are float32, int8, bf16"):
        load_safetensors(tmp_path / "w")
    with pytest.raises(UsageError, match="int3"):
        exporting.export("absent", "onnx", out=tmp_path / "o", kernels="int3")
    for to in ("torch", "keras", "deepfakebench", "html"):
        with pytest.raises(UsageError, match=f"{to} is written with float32 kernels"):
            exporting.export("absent", to, out=tmp_path / "o", kernels="int8")


@pytest.fixture
def meso4(monkeypatch):
    """Makes `export` take a stored detector with random parameters as the workdir `meso4`."""
    saved, read = make_saved("meso4:smoke"), exporting.read_saved
    monkeypatch.setattr(
        exporting, "read_saved", lambda x, *a, **k: saved if x == "meso4" else read(x, *a, **k)
    )
    return saved


@pytest.mark.parametrize(("kind", "dtype"), [("int8", np.int8), ("bf16", jnp.bfloat16)])
@pytest.mark.parametrize("to", ["safetensors", "hub"])
def test_a_rounded_file_is_read_like_any_other(kind, dtype, to, meso4, tmp_path):
    out = tmp_path / ("h" if to == "hub" else "w.safetensors")
    made = exporting.export("meso4", to, out=out, kernels=kind, card=True)
    assert made.difference == 0 < made.rounding < 0.1
    assert f"kernels are {kind}" in made.describe()[2]
    assert f"stored as {kind}" in made.card.read_text()
    file = out / "model.safetensors" if to == "hub" else out
    assert read_header(file)["kernels"] == kind
    assert {x.dtype for k, x in load_file(file).items() if k.endswith("kernel") and x.ndim > 1} >= {
        np.dtype(dtype)
    }
    wanted = flatten(round_variables(meso4.variables, kind))
    found = flatten(read_saved(out).variables)
    assert found.keys() == wanted.keys()
    for key, array in wanted.items():
        np.testing.assert_array_equal(found[key], array)
        assert found[key].dtype == np.float32
    exporting.export(dfjax.load(out), out=tmp_path / "again.safetensors")  # in float32
    assert "kernels" not in read_header(tmp_path / "again.safetensors")
    import_weights(file, "dfjax", "meso4:smoke", tmp_path / "imported.safetensors")
    imported = flatten(load_safetensors(tmp_path / "imported.safetensors")[0])
    for key, array in wanted.items():
        np.testing.assert_array_equal(imported[key], array)


@pytest.mark.parametrize("kind", ["int8", "bf16"])
def test_stablehlo_holds_small_constants(kind, meso4, tmp_path):
    made = exporting.export("meso4", "stablehlo", out=tmp_path / "m", kernels=kind)
    assert made.difference <= 1e-6 < made.rounding
    module = jax.export.deserialize(bytearray(made.out.read_bytes())).mlir_module()
    constants = [line for line in module.splitlines() if "stablehlo.constant" in line]
    kernels = [x for k, x in flatten(meso4.variables).items() if is_kernel(k.split("."), x)]
    for kernel in kernels:
        shape = "x".join(map(str, kernel.shape))
        assert any(f"tensor<{shape}x{KIND_IN_MLIR[kind]}>" in line for line in constants)
        assert not any(f"tensor<{shape}xf32>" in line and "0x" in line for line in constants)
