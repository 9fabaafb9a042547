"""Runs the commands of the README's section about real faces, on the sample videos."""

import re
import shlex

import pandas as pd
import pytest

from dfjax.commands.main import main
from dfjax.data.faces.recipe import read_crop_recipe

pytestmark = [pytest.mark.samples, pytest.mark.weights, pytest.mark.face]


def test_the_commands_about_real_faces(root, samples, weights, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    kept = tmp_path / "dfjax" / "weights"
    kept.mkdir(parents=True)
    (kept / "yunet.onnx").symlink_to(weights / "face_detection_yunet_2023mar.onnx")
    section = (root / "README.md").read_text().partition("### Real faces")[2].partition("\n#")[0]
    commands = re.findall(r"^dfjax ([^#\n]*)", section, re.M)
    assert len(commands) == 5
    for command in commands:
        few = re.sub(r"--frames \d+", "--frames 2", command)
        assert main(shlex.split(few.replace("$SAMPLES", str(samples / "ffpp")))) == 0, command
    assert "a face in 14 of 14 frames" in capsys.readouterr().out
    recipe = read_crop_recipe("work/aligned")
    assert (recipe.detector, recipe.align, recipe.min_face) == ("mtcnn", True, 40)
    assert len(recipe.detector_sha256) == 64
    index = pd.read_parquet("work/aligned/index.parquet")
    assert len(index) == 7 and all(flag for flags in index["face_found"] for flag in flags)
