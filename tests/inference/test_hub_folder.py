"""Tests detectors in the form of the Hugging Face Hub: written, read back, and hostile ones."""

import json
import os
import sys
import types

import numpy as np
import pytest
import yaml
from stored_networks import make_saved

import dfjax
from dfjax.commands.main import main
from dfjax.errors import FileError, UsageError
from dfjax.files import hash_file
from dfjax.inference import export as exporting
from dfjax.inference.shared_config import hide_folders, hide_folders_in_text
from dfjax.weights.hub import FILES, parse_address
from dfjax.weights.safetensors_file import load_safetensors, save_safetensors

pytestmark = pytest.mark.usefixtures("compiled_quickly")
SECRET = "/data/secret"


@pytest.fixture(scope="module")
def saved():
    """Meso4 with settings that name folders of a machine."""
    found = make_saved("meso4:smoke")
    config = found.config.copy_and_resolve_references().unlock()
    config.data.path = f"{SECRET}/pack"
    config.init.backbone = "relative/secret/b.safetensors"
    return found._replace(config=config.lock(), checkpoint="best/12")


@pytest.fixture(scope="module")
def made(saved, tmp_path_factory):
    """The folder of a detector, which no test changes."""
    folder = tmp_path_factory.mktemp("hub") / "meso4"
    patch = pytest.MonkeyPatch()
    read = exporting.read_saved
    patch.setattr(
        exporting, "read_saved", lambda s, *a, **k: saved if s == "run" else read(s, *a, **k)
    )
    try:
        done = dfjax.export("run", to="hub", out=folder)
    finally:
        patch.undo()
    assert (done.difference, done.card) == (0.0, folder / "README.md")
    return folder


@pytest.fixture
def folder(made, tmp_path):
    """A copy of the folder."""
    place = tmp_path / "received"
    place.mkdir()
    for name in FILES:
        (place / name).write_bytes((made / name).read_bytes())
    return place


def make_clips():
    return np.random.default_rng(0).integers(0, 256, (3, 1, 64, 64, 3), np.uint8)


def test_it_is_read_like_a_workdir_and_says_nothing_of_the_machine(made, saved):
    assert {path.name for path in made.iterdir()} == set(FILES)
    for path in made.iterdir():
        assert b"secret" not in path.read_bytes(), path.name
    detector = dfjax.load(made)
    assert (detector.checkpoint, detector.workdir) == ("best/12", made)
    alone = dfjax.load(made / "model.safetensors")
    probs = detector.predict(make_clips())
    assert np.ptp(probs) > 0
    np.testing.assert_array_equal(alone.predict(make_clips()), probs)
    stated = json.loads((made / "preprocessor_config.json").read_text())
    assert stated["size"] == {"height": 64, "width": 64} and stated["frames"] == 1
    assert stated["image_mean"] == list(saved.config.preprocess.mean)


def test_its_card_has_the_hash_of_every_file(made, folder, capsys):
    _, header, _ = (made / "README.md").read_text().split("---\n", 2)
    stated = yaml.safe_load(header)["dfjax"]
    assert stated["file"]["sha256"] == hash_file(made / "model.safetensors")
    assert set(stated["files"]) == {"config.json", "preprocessor_config.json"}
    assert main(["export", "--verify", str(folder)]) == 0
    (folder / "config.json").write_text("{}")
    assert main(["export", "--verify", str(folder)]) == 1
    assert "config.json: sha256 is" in capsys.readouterr().err
    (folder / "preprocessor_config.json").unlink()
    assert main(["export", "--verify", str(folder), "--to", "onnx"]) == 2
    assert "--to does not go with --verify" in capsys.readouterr().err


def test_one_that_exists_is_replaced_and_another_folder_is_not(made, folder, tmp_path):
    detector = dfjax.load(made)
    dfjax.export(detector, to="hub", out=folder)
    (folder / "notes.txt").write_text("mine")
    for place, message in ((folder, "did not write"), (tmp_path / "file", "is a file")):
        (tmp_path / "file").touch()
        with pytest.raises(UsageError, match=message):
            dfjax.export(detector, to="hub", out=place)
    assert (folder / "notes.txt").read_text() == "mine"


def test_files_that_disagree_are_refused(folder):
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"seed": config["seed"] + 1}))
    with pytest.raises(FileError, match=r"config.json is not what model.safetensors was exported"):
        dfjax.load(folder)
    (folder / "config.json").unlink()
    assert dfjax.load(folder).checkpoint == "best/12"  # the header has it too
    (folder / "preprocessor_config.json").write_text("{")
    with pytest.raises(FileError, match="preprocessor_config.json is damaged"):
        dfjax.load(folder)


def test_pickles_are_not_read(folder):
    (folder / "model.safetensors").unlink()
    (folder / "pytorch_model.bin").write_bytes(b"cos\nsystem\n(S'touch ran'\ntR.")
    with pytest.raises(UsageError, match=r"no model.safetensors; pytorch_model.bin is a pickle"):
        dfjax.load(folder)


@pytest.mark.parametrize("name", FILES)
def test_links_out_of_the_folder_are_refused(name, folder, tmp_path):
    (tmp_path / name).write_bytes((folder / name).read_bytes())
    (folder / name).unlink()
    (folder / name).symlink_to(tmp_path / name)
    with pytest.raises(FileError, match="leads out of"):
        dfjax.load(folder)


def test_code_that_the_config_names_is_not_imported(folder):
    variables, header = load_safetensors(folder / "model.safetensors")
    header["config"]["model"] |= {"name": "evil_module:Detector", "custom": {}}
    save_safetensors(folder / "model.safetensors", variables, metadata=header)
    (folder / "config.json").unlink()
    (folder / "evil_module.py").write_text("raise SystemExit('ran')")
    with pytest.raises(UsageError, match="evil_module:Detector is not imported"):
        dfjax.load(folder)


@pytest.fixture
def hub(made, tmp_path, monkeypatch):
    """Stands in for `huggingface_hub`, with its cache of links to blobs; records its calls."""
    calls = []
    repo = tmp_path / "hub" / "models--somebody--meso4"

    def snapshot_download(repo_id, *, revision, allow_patterns):
        calls.append((repo_id, revision, sorted(allow_patterns)))
        if repo_id != "somebody/meso4":
            raise OSError("404: no such repository")
        snapshot = repo / "snapshots" / (revision or "main")
        (repo / "blobs").mkdir(parents=True, exist_ok=True)
        snapshot.mkdir(parents=True, exist_ok=True)
        for name in FILES:
            (repo / "blobs" / name).write_bytes((made / name).read_bytes())
            (snapshot / name).unlink(missing_ok=True)
            (snapshot / name).symlink_to(os.path.join("..", "..", "blobs", name))
        return str(snapshot)

    module = types.ModuleType("huggingface_hub")
    module.snapshot_download = snapshot_download
    monkeypatch.setitem(sys.modules, "huggingface_hub", module)
    return calls


def test_an_address_is_fetched_with_its_revision_and_only_our_files(hub, made, capsys):
    detector = dfjax.load("hf://somebody/meso4@v1.0")
    assert hub == [("somebody/meso4", "v1.0", sorted(FILES))]
    assert str(detector.workdir) == "meso4"
    np.testing.assert_array_equal(
        detector.predict(make_clips()), dfjax.load(made).predict(make_clips())
    )
    with pytest.raises(UsageError, match="somebody/other cannot be fetched .*404: no such"):
        dfjax.load("hf://somebody/other")


@pytest.mark.parametrize(
    "address", ["hf://", "hf://a", "hf://a/b/c", "hf://../b", "hf://a/..", "hf://a/b@../../c",
                "hf://a/b@", "hf://a b/c", "hf:///a/b"],
)  # fmt: skip
def test_other_addresses_are_wrong_usage(address, hub):
    with pytest.raises(UsageError, match="is not of the form hf://USER/NAME"):
        dfjax.load(address)
    assert not hub


def test_parts_of_an_address():
    assert parse_address("hf://a/b-1.c@refs/pr/3") == ("a", "b-1.c", "refs/pr/3")
    assert parse_address("hf:/a/b") == ("a", "b", None)  # as a pathlib path


def test_without_huggingface_hub(monkeypatch):
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(UsageError, match="needs huggingface_hub: pip install 'dfjax.hub.'"):
        dfjax.load("hf://somebody/meso4")


def test_folders_are_hidden_and_nothing_else():
    config = {
        "data": {"path": "../x/pack", "features": ""}, "model": {"custom": {"a": "/a/b", "c": 1}},
        "init": {"hq": "w/b.safetensors"}, "loss": {"name": "my/loss"},
        "phases": [["data.path=/x/y", "optimizer.name=sgd"]], "kept": "C:\\a\\b",
    }  # fmt: skip
    assert hide_folders(config) == {
        "data": {"path": "pack", "features": ""}, "model": {"custom": {"a": "b", "c": 1}},
        "init": {"hq": "b.safetensors"}, "loss": {"name": "my/loss"},
        "phases": [["data.path=y", "optimizer.name=sgd"]], "kept": "b",
    }  # fmt: skip
    text = "3 files of /data/me/x.mp4 and C:\\me\\y are missing; see https://a.b/c/d, eval/test"
    assert hide_folders_in_text(text) == (
        "3 files of x.mp4 and y are missing; see https://a.b/c/d, eval/test"
    )
