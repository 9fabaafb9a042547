"""The commands of the README's section on foreign predictions, run on small tables."""

import re
import shlex

import numpy as np
import pandas as pd
import pytest

from dfjax.commands.main import main
from dfjax.evaluation.tables.dfwb_scores import write_dfwb
from dfjax.evaluation.tables.predictions import read_predictions

METHODS = ("Deepfakes", "Face2Face", "FaceSwap", "NeuralTextures")


def commands(root):
    section = (root / "README.md").read_text().partition("### Referee\n")[2].partition("\n##")[0]
    return re.findall(r"^dfjax .*$", section, re.MULTILINE)


@pytest.fixture
def tables(tmp_path, monkeypatch):
    """The files that the commands name, in the current folder."""
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    labels = np.arange(40) % 2
    draw = {name: np.clip(rng.normal(0.4 + 0.2 * labels, 0.15), 0, 1) for name in "ab"}
    ids = [f"v{n:02d}" for n in range(40)]
    base = pd.DataFrame({"video_id": ids, "label": labels})
    (base.rename(columns={"video_id": "clip_name"}).assign(p=100 * draw["a"])
     .to_csv("foreign.csv", index=False))  # fmt: skip
    for name, file in (("a", "first.csv"), ("b", "second.csv")):
        base.assign(fake_prob=draw[name]).to_csv(file, index=False)
    base.assign(prob_a=draw["a"], prob_b=draw["b"]).to_csv("wide.csv", index=False)
    split = np.where(np.arange(40) < 20, "val", "test")
    base.assign(split=split, epoch_1=draw["a"], epoch_2=draw["b"]).to_csv("epochs.csv", index=False)
    write_dfwb(
        read_predictions(["first.csv"]).predictions, tmp_path / "foreign.scores.csv", detector="x"
    )
    videos = [(f"ffpp/youtube/{c}/00{n}", "real") for c in ("c23", "c40") for n in range(4)]
    videos += [
        (f"ffpp/{m}/{c}/00{n}_9", m) for m in METHODS for c in ("c23", "c40") for n in range(4)
    ]
    rows = [
        (video, method, int(method != "real"), frame, rng.uniform(0.2 * (method != "real"), 1))
        for video, method in videos
        for frame in range(10)
    ]
    names = ["video_id", "method", "label", "frame", "fake_prob"]
    pd.DataFrame(rows, columns=names).assign(dataset="ffpp").to_csv("ffpp.csv", index=False)


def test_every_command_of_the_section_runs(root, tables, capsys):
    found = commands(root)
    assert len(found) == 9
    for command in found:
        assert main(shlex.split(command)[1:]) == 0, (command, capsys.readouterr().err)
