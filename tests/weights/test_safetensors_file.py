import json
import os

import jax.numpy as jnp
import ml_dtypes
import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from dfjax.errors import FileError, UsageError
from dfjax.weights.safetensors_file import (
    flatten,
    is_safetensors,
    load_safetensors,
    read_header,
    save_safetensors,
    unflatten,
)


@pytest.fixture
def variables():
    rng = np.random.default_rng(0)
    return {
        "params": {
            "stem": {"conv": {"kernel": rng.normal(size=(3, 3, 2, 4)).astype(np.float32)}},
            "head": {
                "kernel": jnp.asarray(rng.normal(size=(4, 1)), jnp.bfloat16),
                "bias": np.float32([1e-45, -0.0, 3e38]),
            },
        },
        "batch_stats": {"stem": {"mean": np.zeros(4, np.float32), "n": np.int32(7)}},
    }


def test_keys_are_paths_with_dots(variables, tmp_path):
    path = tmp_path / "w.safetensors"
    save_safetensors(path, variables, metadata={})
    assert set(load_file(path)) == {
        "params.stem.conv.kernel",
        "params.head.kernel",
        "params.head.bias",
        "batch_stats.stem.mean",
        "batch_stats.stem.n",
    }


def test_round_trip_is_bitwise(variables, tmp_path):
    path = tmp_path / "w.safetensors"
    metadata = {"config": {"seed": 1, "name": "ü"}, "version": "0.1.0"}
    save_safetensors(path, variables, metadata=metadata)
    loaded, header = load_safetensors(path)
    assert header == metadata
    before, after = flatten(variables), flatten(loaded)
    assert before.keys() == after.keys()
    for key, array in before.items():
        assert (after[key].dtype, after[key].shape) == (array.dtype, array.shape)
        assert after[key].tobytes() == array.tobytes()
    assert after["params.head.kernel"].dtype == ml_dtypes.bfloat16


def test_a_view_is_saved_as_it_reads(tmp_path):
    kernel = np.arange(6, dtype=np.float32).reshape(2, 3).T  # not C-contiguous
    save_safetensors(tmp_path / "w", {"params": {"kernel": kernel}}, metadata={})
    loaded, _ = load_safetensors(tmp_path / "w")
    np.testing.assert_array_equal(loaded["params"]["kernel"], kernel)
    assert loaded["batch_stats"] == {}


def test_a_dot_in_a_name_is_refused():
    with pytest.raises(ValueError, match=r"params\.a\.b"):
        flatten({"params": {"a.b": np.zeros(1)}})


def test_flatten_and_unflatten_are_inverse(variables):
    assert flatten(unflatten(flatten(variables))).keys() == flatten(variables).keys()


def test_a_header_of_another_program_is_text(tmp_path):
    header = {"format": "pt", "config": "{", "epochs": "3", "depth": "[" * 999}
    save_file({"params.x": np.zeros(2, np.float32)}, tmp_path / "w.safetensors", metadata=header)
    variables, metadata = load_safetensors(tmp_path / "w.safetensors")
    assert metadata == header | {"epochs": 3} and variables["params"]["x"].shape == (2,)


def test_what_is_not_ours_is_one_clear_line(tmp_path):
    with pytest.raises(UsageError, match="absent does not exist"):
        load_safetensors(tmp_path / "absent")
    (tmp_path / "text").write_text("hello")
    with pytest.raises(UsageError, match="not a readable safetensors file"):
        load_safetensors(tmp_path / "text")
    save_file({"encoder.weight": np.zeros(2, np.float32)}, tmp_path / "foreign")
    with pytest.raises(UsageError, match="holds encoder; dfjax files hold params and batch_stats"):
        load_safetensors(tmp_path / "foreign")


@pytest.mark.parametrize("keys", [("params.a", "params.a.b"), ("params.a.b", "params.a")])
def test_an_array_with_others_below_it_is_refused(keys):
    with pytest.raises(UsageError, match="itself an array|others lie below it"):
        unflatten({key: np.zeros(1, np.float32) for key in keys})


def test_a_pipe_does_not_block_and_numbers_unknown_to_numpy_are_one_line(tmp_path):
    os.mkfifo(tmp_path / "pipe.safetensors")
    header = {"params.a": {"dtype": "F8_E4M3", "shape": [2], "data_offsets": [0, 2]}}
    text = json.dumps(header).encode()
    data = len(text).to_bytes(8, "little") + text + b"12"
    (tmp_path / "f8.safetensors").write_bytes(data)
    for name in ("pipe", "f8"):
        with pytest.raises(UsageError, match="is not a readable safetensors file") as error:
            load_safetensors(tmp_path / f"{name}.safetensors")
        assert "\n" not in str(error.value)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_values_that_are_not_finite_are_refused(value, tmp_path):
    kernel = jnp.asarray([1.0, value], jnp.bfloat16)
    save_safetensors(tmp_path / "w", {"params": {"kernel": kernel}}, metadata={})
    with pytest.raises(FileError, match=r"not finite in params\.kernel"):
        load_safetensors(tmp_path / "w")


def test_the_header_is_read_without_the_arrays(tmp_path):
    save_safetensors(tmp_path / "w", {"params": {"x": np.zeros(2)}}, metadata={"model": "b0"})
    assert is_safetensors(tmp_path / "w") and read_header(tmp_path / "w") == {"model": "b0"}
    (tmp_path / "text").write_text("hello")
    assert not is_safetensors(tmp_path / "text")
    with pytest.raises(FileError, match="not a readable safetensors file"):
        read_header(tmp_path / "text")
    with pytest.raises(UsageError, match="absent does not exist"):
        read_header(tmp_path / "absent")
    with pytest.raises(FileError, match="not a readable safetensors file"):
        read_header(tmp_path)
