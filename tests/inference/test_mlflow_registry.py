"""Versions of a registered model keep their files, with their paths in the export."""

import pytest
from mlflow_server import Server

from dfjax.inference.exported import Exported
from dfjax.inference.mlflow_registry import open_registry, register_files


@pytest.fixture
def server(monkeypatch):
    return Server(monkeypatch)


def register(server, folder, out, outputs):
    done = Exported(out, "onnx", 1, "best/1", {}, 8, "onnxruntime", 0.0)
    register_files(open_registry("faces"), "faces", folder / "run", done, outputs)
    version = server.models["faces"][-1]
    place = version.source.partition("/exports/")[2]
    files = server.runs[version.run_id].files
    prefix = f"exports/{place}/"
    return place, {k[len(prefix) :]: x for k, x in files.items() if k.startswith(prefix)}


def write(folder, texts):
    for name, text in texts.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return [folder / name for name in texts]


def test_a_model_of_triton_keeps_its_folders(server, tmp_path):
    out = tmp_path / "first"
    outputs = write(out, {"1/model.onnx": "network", "1/model.onnx.md": "c", "config.pbtxt": "p"})
    _, files = register(server, tmp_path, out, outputs)
    assert files == {"1/model.onnx": b"network", "1/model.onnx.md": b"c", "config.pbtxt": b"p"}


def test_a_version_with_another_card_does_not_replace_the_files_of_the_first(server, tmp_path):
    out = tmp_path / "w.onnx"
    first, _ = register(server, tmp_path, out, write(tmp_path, {"w.onnx": "w", "w.onnx.md": "1"}))
    again, _ = register(server, tmp_path, out, write(tmp_path, {"w.onnx": "w", "w.onnx.md": "1"}))
    other, files = register(
        server, tmp_path, out, write(tmp_path, {"w.onnx": "w", "w.onnx.md": "2"})
    )
    assert first == again != other and files == {"w.onnx": b"w", "w.onnx.md": b"2"}
    assert {version.tags["sha256"] for version in server.models["faces"]} == {
        "50e721e49c013f00c62cf59f2163542a9d8df02464efeb615d31051b0fddc326"
    }
