import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
from mlflow_server import Server
from stored_networks import make_saved

import dfjax
from dfjax.commands.main import main
from dfjax.config import differences, from_dict
from dfjax.errors import RunError, UsageError
from dfjax.inference import export as exporting
from dfjax.weights.safetensors_file import flatten, load_safetensors, save_safetensors


@pytest.fixture
def asked(monkeypatch):
    """Stands in for trained workdirs, named by their configs; records which checkpoint is asked."""
    calls = []
    read = exporting.read_saved

    def read_saved(source, checkpoint="best", *, model=""):
        if Path(source).exists():
            return read(source, checkpoint, model=model)
        if str(source) == "absent":
            raise UsageError("absent is not a workdir")
        calls.append((str(source), checkpoint))
        saved = make_saved(f"{source}:smoke")
        return saved._replace(checkpoint=f"{checkpoint}/12")

    monkeypatch.setattr(exporting, "read_saved", read_saved)
    return calls


def export(*arguments, workdir="meso4", to="safetensors"):
    return main(["export", "--workdir", workdir, "--to", to, *map(str, arguments)])


def test_the_file_says_what_it_is(asked, tmp_path, capsys):
    out = tmp_path / "new" / "w.safetensors"
    assert export("--out", out, "--card", "--json") == 0
    summary = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert summary == {
        "out": str(out),
        "format": "safetensors",
        "bytes": out.stat().st_size,
        "checkpoint": "best/12",
        "inputs": {},
        "checked": 8,
        "runtime": "dfjax",
        "difference": 0.0,
        "card": f"{out}.md",
        "kernels": "float32",
        "rounding": 0.0,
        "registered": None,
    }
    variables, metadata = load_safetensors(out)
    saved = make_saved("meso4:smoke")
    for key, array in flatten(saved.variables).items():
        np.testing.assert_array_equal(flatten(variables)[key], array)
    assert (metadata["format"], metadata["version"]) == ("dfjax", dfjax.__version__)
    assert metadata["checkpoint"] == "best/12"
    assert differences(from_dict(metadata["config"]), saved.config) == []
    assert asked == [("meso4", "best")]
    assert main(["export", "--verify", str(out)]) == 0


def test_an_export_is_registered_as_a_version_of_a_model(asked, tmp_path, monkeypatch, capsys):
    server = Server(monkeypatch)
    for kernels in ("float32", "int8"):
        options = ["--kernels", kernels, "--card", "--register", "faces"]
        assert export("--out", tmp_path / "w.safetensors", *options) == 0
    assert "registered in MLflow: models:/faces/2" in capsys.readouterr().out
    versions, runs = server.models["faces"], server.runs
    folders = [version.source.partition("/exports/")[2] for version in versions]
    assert folders[0] != folders[1]  # a version never replaces files of another
    for version, folder, kernels in zip(versions, folders, ("float32", "int8")):
        files = runs[version.run_id].files
        assert [*files] == [f"exports/{folder}/w.safetensors", f"exports/{folder}/w.safetensors.md"]
        sha256 = hashlib.sha256(files[f"exports/{folder}/w.safetensors"]).hexdigest()
        assert sha256 == version.tags["sha256"]
        assert version.tags["checkpoint"] == "best/12" and version.tags["kernels"] == kernels
    assert {run.info.status for run in runs.values()} == {"FINISHED"}


def test_a_registry_that_cannot_be_used_is_found_before_the_export(asked, tmp_path, monkeypatch):
    server, out = Server(monkeypatch), tmp_path / "w.safetensors"
    assert export("--out", out, "--register", "a/b") == 2
    server.down = True
    assert export("--out", out, "--register", "faces") == 2
    assert asked == [] and not out.exists()


def test_a_file_names_no_folder_of_this_machine_and_knows_its_data(tmp_path):
    saved = make_saved("meso4:smoke")
    config = saved.config.copy_and_resolve_references().unlock()
    config.data.path, config.init.backbone = "/data/me/faces/pack", "../me/b.safetensors"
    workdir = tmp_path / "run"
    (workdir / "checkpoints").mkdir(parents=True)
    audit = {"findings": [], "accepted": [], "index_sha256": "ab12", "version": "1"}
    (workdir / "audit.json").write_text(json.dumps(audit))
    saved = saved._replace(config=config.lock(), folder=workdir)
    for _ in range(2):  # the second time from the file
        header = exporting.describe_saved(saved)
        assert "me/" not in json.dumps(header)
        assert header["config"]["data"]["path"] == "pack"
        assert header["config"]["init"]["backbone"] == "b.safetensors"
        assert header["data_sha256"] == "ab12"
        save_safetensors(tmp_path / "w.safetensors", saved.variables, metadata=header)
        saved = exporting.read_saved(tmp_path / "w.safetensors")


def test_the_last_checkpoint_on_request(asked, tmp_path):
    assert export("--out", tmp_path / "w", "--checkpoint", "last") == 0
    assert asked == [("meso4", "last")]


def test_a_loaded_detector_is_exported_as_its_file(asked, tmp_path):
    assert export("--out", tmp_path / "a.safetensors") == 0
    detector = dfjax.load(tmp_path / "a.safetensors")
    dfjax.export(detector, out=tmp_path / "b.safetensors")
    (a, _), (b, _) = (load_safetensors(tmp_path / f"{name}.safetensors") for name in "ab")
    for key, array in flatten(a).items():
        np.testing.assert_array_equal(flatten(b)[key], array)


def test_a_program_by_the_verb(asked, tmp_path, capsys):
    assert export("--out", tmp_path / "m.stablehlo", to="stablehlo") == 0
    text = capsys.readouterr().out
    assert "clip [B, 1, 64, 64, 3]" in text and "read back with jax: 8 clips" in text
    assert export("--out", tmp_path / "m.stablehlo", "--mask", to="stablehlo") == 0  # is replaced
    assert "mask [B, 1]" in capsys.readouterr().out


def test_another_output_than_the_checkpoint_is_not_kept(asked, tmp_path, monkeypatch):
    right = exporting.FORMATS["stablehlo"]
    wrong = right._replace(open=lambda path: lambda *x: right.open(path)(*x) + 0.01)
    monkeypatch.setitem(exporting.FORMATS, "stablehlo", wrong)
    with pytest.raises(RunError, match="differs from that of the checkpoint by 1.0e-02"):
        exporting.export("meso4", "stablehlo", out=tmp_path / "m.stablehlo")
    assert list(tmp_path.iterdir()) == []
    assert export("--out", tmp_path / "m.stablehlo", to="stablehlo") == 1


def test_a_failed_export_leaves_the_old_file(asked, tmp_path, monkeypatch):
    out = tmp_path / "w.safetensors"
    assert export("--out", out) == 0
    old = out.read_bytes()

    def dies_half_way(path, variables, *, metadata):
        path.write_bytes(b"half")
        raise OSError("disk full")

    monkeypatch.setattr(exporting, "save_safetensors", dies_half_way)
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
        (["--workdir", "w", "--to", "keras", "--out", "f.h5", "--mask"], "mask is for programs"),
        (
            ["--workdir", "w", "--to", "onnx", "--out", "f", "--detector-model", "y.onnx"],
            "face_model=y.onnx is for html, not for onnx",
        ),
        (
            ["--workdir", "w", "--to", "hub", "--out", "f", "--web-runtime", "p.tgz"],
            "web_runtime=p.tgz is for html, not for hub",
        ),
        (
            ["--workdir", "dual_stream", "--to", "deepfakebench", "--out", "f.pth"],
            "deepfakebench has no detector like dual_stream",
        ),
        (["--workdir", "meso4", "--to", "deepfakebench", "--out", "f.pth"], "meso4 has classes=2"),
    ],
)
def test_wrong_usage(arguments, message, asked, capsys):
    assert main(["export", *arguments]) == 2
    assert message in capsys.readouterr().err
