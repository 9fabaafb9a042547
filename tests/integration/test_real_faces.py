"""Tests the experiment of `launch/real_faces.sh` on a few real crops, and its commands."""

import csv
import json
import re
import shlex
import shutil
import subprocess

import pytest
from test_readme import check

from dfjax.commands.main import main
from dfjax.data.index.records import read_index

PAIRS = 40
ACCEPT = ("--accept", "shortcut_probe")  # so few videos may differ in sharpness by chance


def test_the_commands_of_the_experiment_are_valid(root, tmp_path):
    (tmp_path / "faces.csv").write_text("path,label\n")
    (tmp_path / "Meso4_DF.h5").touch()
    done = subprocess.run(
        ["bash", "launch/real_faces.sh", str(tmp_path), "--dry-run"],
        cwd=root, env={"PATH": "/usr/bin:/bin", "DFJAX_WEIGHTS": str(tmp_path)},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    commands = done.stdout.splitlines()
    assert len(commands) == 24
    for command in commands:
        check(command)
    made = set(re.findall(r"(?:--out|--workdir)[= ](runs/\S+)", done.stdout))
    read = {word for line in commands for word in shlex.split(line) if word.startswith("runs/")}
    assert {path.split("/")[1] for path in made | read} == {"real_faces"}


@pytest.fixture(scope="module")
def faces(request, tmp_path_factory):
    """Returns a folder with 40 real crops, one fake of each, and a copy of the first pair."""
    source = request.getfixturevalue("samples") / "dfdc_faces"
    folder = tmp_path_factory.mktemp("faces")
    (folder / "faces").mkdir()
    with open(source / "faces.csv", newline="") as file:
        rows = list(csv.DictReader(file))[: 2 * PAIRS]
    for row in rows:
        shutil.copyfile(source / row["path"], folder / row["path"])
    real, fake = rows[0], rows[1]
    for row, name in ((real, "copy"), (fake, "copied")):
        path = f"faces/{name}.jpg"
        shutil.copyfile(source / row["path"], folder / path)
        pair = "copy" if row is fake else ""
        rows.append(row | {"path": path, "group": "copy", "pair_id": pair})
    with open(folder / "faces.csv", "w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    return folder


@pytest.mark.slow
@pytest.mark.samples
def test_a_small_experiment_on_real_crops(faces, tmp_path, capsys):
    """From photos to metrics; a copy of a pair is joined to it and stays in its split."""
    crops, joined, index = (tmp_path / name for name in ("crops", "joined.parquet", "i.parquet"))
    pack, run = tmp_path / "pack", tmp_path / "run"
    data = ["index", "--adapter", "csv", "--root", faces, "--out", index]
    for step in (
        data,
        [*("extract --detector none --size 224 --frames 1 --index".split()), index, "--out", crops],
        ["dedupe", "--index", crops, "--similarity", "0.85", "--out", joined],
        [*("split --by group --ratios 0.5,0.25,0.25 --index".split()), joined, "--out", index],
        ["pack", "--index", index, "--out", pack],
        ["audit", "--index", pack, "--out", tmp_path / "audit", *ACCEPT],
    ):
        assert main(["data", *map(str, step)]) == 0
    table = read_index(pack / "index.parquet").set_index("video_id")
    first = read_index(index)["path"].isin(["faces/copy.jpg", "faces/copied.jpg"])
    assert len(table) == 2 * PAIRS + 2 and first.sum() == 2
    groups = read_index(index).groupby("sha256")["group"].nunique()
    assert (groups == 1).all()
    train = ["train", "--config=real_faces:smoke", f"--workdir={run}", f"--config.data.path={pack}"]
    assert main([*train, "--config.train.epochs=1", *ACCEPT]) == 0
    assert main(["evaluate", "--workdir", str(run), "--json"]) in (0, 1)
    metrics = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert metrics["n"]["videos"] == (table["split"] == "test").sum()
    assert 0 <= metrics["overall"]["video_auc_ci"][0] <= metrics["overall"]["video_auc"] <= 1
