"""Tests `dfjax defake`: its exit codes, lines and JSON."""

import json

import pytest

from dfjax.commands.main import main
from dfjax.errors import UsageError
from dfjax.inference import defake as module
from dfjax.inference.restoring.restore_file import Work
from dfjax.inference.restoring.results import RestoredFile, RestoredFiles


@pytest.fixture
def calls(monkeypatch, tmp_path):
    """Replaces `dfjax.defake`, whose arguments it records."""
    seen = []

    def defake(generator, inputs, out, **options):
        seen.append((generator, inputs, out, options))
        work = Work(frames=50, restored=48, faces=1, seconds=2.0)
        good = RestoredFile(inputs[0], out / "a.mp4", "restored", work, before=0.9, after=0.25)
        bad = RestoredFile(inputs[1], None, "error", error="no face found in any frame")
        return RestoredFiles([good, bad][: 1 + ("bad" in str(inputs[1]))], out, ["a note"])

    monkeypatch.setattr(module, "defake", defake)
    return seen


def test_the_result_is_printed_and_a_failed_input_is_code_1(calls, tmp_path, capsys):
    argv = ["defake", "a.mp4", "bad.mp4", "--workdir", "g", "--out", str(tmp_path)]
    assert main([*argv, "--no-visible-mark", "--detector", "w", "--no-align"]) == 1
    out, err = capsys.readouterr()
    path = tmp_path / "a.mp4"
    assert out.splitlines() == [
        f"P(fake) 0.9000 -> 0.2500  {path}  (48 of 50 frames restored, 25.0 frames/s)",
        f"1 of 2 files restored in {tmp_path}, 25.0 frames/s",
    ]
    assert "note: a note" in err and "dfjax: bad.mp4: no face found in any frame" in err
    ((generator, _, _, options),) = calls
    assert str(generator) == "g" and options["visible_mark"] is False and options["align"] is False
    assert str(options["detector"]) == "w" and options["batch_size"] is None


def test_json_has_every_input(calls, tmp_path, capsys):
    assert main(["defake", "a.mp4", "b", "--workdir", "g", "--out", str(tmp_path), "--json"]) == 0
    value = json.loads(capsys.readouterr().out.splitlines()[-1])
    (row,) = value["results"]
    assert row["before"] == 0.9 and row["work"]["restored"] == 48 and value["frames_per_s"] == 25
    assert calls[0][3]["visible_mark"] is True


def test_wrong_usage_is_code_2(monkeypatch, tmp_path, capsys):
    assert main(["defake", "a.mp4", "--workdir", "g"]) == 2
    assert "--out" in capsys.readouterr().err

    def refuse(*_, **__):
        raise UsageError("out is inside of the input folder")

    monkeypatch.setattr(module, "defake", refuse)
    assert main(["defake", "a", "--workdir", "g", "--out", str(tmp_path / "o")]) == 2
