"""Tests model cards: what they state of a run, and that a file is verified by its card."""

import json

import pytest
import yaml
from stored_networks import make_saved

from dfjax.commands.main import main
from dfjax.errors import UsageError
from dfjax.files import hash_file
from dfjax.inference.reporting.card_file import find_card, verify_card
from dfjax.inference.reporting.model_card import write_card

HOSTILE = "<script"


@pytest.fixture(scope="module")
def card(workdir, tmp_path_factory):
    """An exported file with its card; the file itself does not matter."""
    path = tmp_path_factory.mktemp("export") / "meso4.onnx"
    path.write_bytes(b"a program")
    saved = make_saved("meso4:smoke")._replace(folder=workdir, checkpoint="best/4")
    write_card(path, saved, form="onnx", inputs={"clip": [12, 64, 64, 3]})
    return path


def copy(card, folder):
    for path in (card, find_card(card)):
        (folder / path.name).write_bytes(path.read_bytes())
    return folder / card.name


def test_the_header_is_that_of_hugging_face(card):
    _, header, text = find_card(card).read_text().split("---\n", 2)
    parsed = yaml.safe_load(header)
    assert (parsed["library_name"], parsed["pipeline_tag"]) == ("dfjax", "video-classification")
    (model,) = parsed["model-index"]
    assert model["name"] == "meso4"
    assert [result["dataset"]["split"] for result in model["results"]] == ["test", "val"]
    metrics = {m["type"]: m["value"] for m in model["results"][0]["metrics"]}
    assert 0.5 < metrics["video_auc"] <= 1.0 and 0 <= metrics["ece"] <= 1
    assert parsed["dfjax"]["file"]["sha256"] == hash_file(card)
    assert parsed["dfjax"]["file"]["bytes"] == 9


def test_the_text_says_what_the_numbers_rest_on(card, workdir):
    text = find_card(card).read_text()
    metrics = json.loads((workdir / "eval" / "test" / "metrics.json").read_text())
    low, high = metrics["overall"]["video_auc_ci"]
    assert f"{low:.3f}–{high:.3f}" in text
    audit = json.loads((workdir / "audit.json").read_text())
    assert audit["index_sha256"] in text
    assert all(finding["code"] in text for finding in audit["findings"])
    assert "input `clip`: [B, 12, 64, 64, 3]" in text
    for title in ("Use and limits", "Training data", "Results", "Licence", "Settings"):
        assert f"## {title}" in text
    assert "must not rest on it alone" in text and "drawn faces" in text


def test_permuted_labels_and_other_checkpoints_are_told(workdir, tmp_path):
    path = tmp_path / "w.onnx"
    path.write_bytes(b"x")
    saved = make_saved("meso4:smoke")
    config = saved.config.copy_and_resolve_references().unlock()
    config.data.shuffle_labels, config.data.path = True, "/data/secret/pack"
    other = saved._replace(config=config.lock(), folder=workdir, checkpoint="best/999999")
    write_card(path, other, form="onnx", inputs={})
    text = find_card(path).read_text()
    assert "labels of the training data were permuted" in text and "permuted-labels" in text
    assert "secret" not in text and str(workdir) not in text
    assert "results: []" in text and "2 evaluations in the workdir are of other checkpoints" in text


def test_names_in_the_data_are_no_markup(card):
    assert HOSTILE not in find_card(card).read_text()


def test_a_file_is_the_one_of_its_card_or_not(card, tmp_path, capsys):
    path = copy(card, tmp_path)
    assert main(["export", "--verify", str(path), "--json"]) == 0
    result = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert (result["differences"], result["sha256"]) == ([], hash_file(card))
    path.write_bytes(b"b program")
    assert main(["export", "--verify", str(path)]) == 1
    assert f"sha256 is {hash_file(path)}" in capsys.readouterr().err
    path.write_bytes(b"a program and more")
    assert {"bytes", "sha256"} == {
        d.split(": ")[1].split()[0] for d in verify_card(path).differences
    }


@pytest.mark.parametrize(
    "text",
    ["", "# a card", "---\n[", "---\na: 1\n---\n", "---\n[\n---\n", "---\n&a [*a]\n---\n",
     "---\ndfjax: {version: '1', file: {name: 3}}\n---\n", "---\n!!python/name:os.system\n---\n"],
)  # fmt: skip
def test_a_damaged_card_is_one_line(text, card, tmp_path, capsys):
    path = copy(card, tmp_path)
    find_card(path).write_text(text)
    assert main(["export", "--verify", str(path)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert str(find_card(path)) in line and "damaged" in line


def test_both_files_are_needed(card, tmp_path):
    path = copy(card, tmp_path)
    find_card(path).unlink()
    with pytest.raises(UsageError, match=r"meso4.onnx.md does not exist"):
        verify_card(path)
    assert main(["export", "--workdir", "runs/w"]) == 2


def test_a_weights_file_has_no_data_to_state(tmp_path):
    path = tmp_path / "w.safetensors"
    path.write_bytes(b"x")
    write_card(path, make_saved("meso4:smoke"), form="safetensors", inputs={})
    text = find_card(path).read_text()
    assert "exported from a weights file" in text and "## Results" not in text
    assert verify_card(path).differences == []
