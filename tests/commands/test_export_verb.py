import json
from pathlib import Path

import numpy as np
import pytest

import dfjax
from dfjax.commands.main import main
from dfjax.config import differences, from_dict, load_config
from dfjax.errors import UsageError
from dfjax.inference import export as exporting
from dfjax.inference.detector import Detector
from dfjax.weights.safetensors_file import flatten, load_safetensors

VARIABLES = {
    "params": {"head": {"kernel": np.arange(6, dtype=np.float32).reshape(2, 3)}},
    "batch_stats": {"stem": {"var": np.ones(3, np.float32)}},
}


@pytest.fixture
def asked(monkeypatch):
    """Stands in for a trained workdir; records which checkpoint was asked for."""
    calls = []

    def load(workdir, checkpoint, *, model):
        if str(workdir) == "absent":
            raise UsageError("absent is not a workdir")
        calls.append((str(workdir), checkpoint))
        config = load_config("dual_stream:tiny")
        return Detector(
            config, VARIABLES, f"{checkpoint}/12", "0" * 64, Path(workdir), *[print] * 2
        )

    monkeypatch.setattr(exporting, "load", load)
    return calls


def export(*arguments):
    return main(["export", "--workdir", "w", "--to", "safetensors", *map(str, arguments)])


def test_the_file_says_what_it_is(asked, tmp_path, capsys):
    out = tmp_path / "new" / "w.safetensors"
    assert export("--out", out, "--json") == 0
    summary = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert summary == {
        "out": str(out),
        "format": "safetensors",
        "bytes": out.stat().st_size,
        "checkpoint": "best/12",
    }
    variables, metadata = load_safetensors(out)
    for key, array in flatten(VARIABLES).items():
        np.testing.assert_array_equal(flatten(variables)[key], array)
    assert (metadata["format"], metadata["version"]) == ("dfjax", dfjax.__version__)
    assert metadata["checkpoint"] == "best/12"
    assert differences(from_dict(metadata["config"]), load_config("dual_stream:tiny")) == []
    assert asked == [("w", "best")]


def test_the_last_checkpoint_on_request(asked, tmp_path):
    assert export("--out", tmp_path / "w", "--checkpoint", "last") == 0
    assert asked == [("w", "last")]


def test_a_failed_export_leaves_the_old_file(asked, tmp_path, monkeypatch):
    from dfjax.exporting import formats

    out = tmp_path / "w.safetensors"
    zeros = {"params": {"w": np.zeros(2, np.float32)}, "batch_stats": {}}
    formats.save_safetensors(out, zeros, metadata={"format": "dfjax"})
    old = out.read_bytes()

    def dies_half_way(path, variables, *, metadata):
        path.write_bytes(b"half")
        raise OSError("disk full")

    monkeypatch.setattr(formats, "save_safetensors", dies_half_way)
    with pytest.raises(OSError, match="disk full"):
        export("--out", out)
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [old]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--workdir", "absent", "--to", "safetensors", "--out", "f"], "absent is not a workdir"),
        (["--workdir", "w", "--to", "onxn", "--out", "f"], "unknown format 'onxn'"),
        (["--workdir", "w", "--to", "safetensors", "--out", "."], "is a folder"),
        (["--workdir", "w", "--to", "safetensors"], "--out"),
        (["--workdir", "w", "--to", "safetensors", "--out", "f", "--checkpoint", "b"], "'best'"),
    ],
)
def test_wrong_usage(arguments, message, asked, capsys):
    assert main(["export", *arguments]) == 2
    assert message in capsys.readouterr().err
