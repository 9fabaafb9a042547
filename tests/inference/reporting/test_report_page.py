"""Tests that a report shows what the files of a workdir say, and neither runs nor loads others."""

import json
import re
import shutil
from html.parser import HTMLParser

import numpy as np
import pytest

from dfjax.commands.main import main
from dfjax.errors import UsageError
from dfjax.evaluation.calibration.calibration_file import Calibration, write_calibration
from dfjax.evaluation.calibration.conformal import Rates
from dfjax.evaluation.calibration.maps import CalibrationMap
from dfjax.inference.reporting.documents import draw_value
from dfjax.inference.reporting.report import report

CI = [0.8125, 0.9375]
ROBUSTNESS = {
    "robustness": {
        "jpeg": {
            "severity": "JPEG <quality>", "values": [90, 10], "video_auc": [0.9375, 0.875, None],
            "video_auc_ci": [CI, CI, None], "area": 0.78125, "area_ci": CI, "loss_ci": None,
            "videos": 8,
        }
    },
    "left_out": {"frame_drop": "one frame"},
}  # fmt: skip
PROBE = {
    "detector_auc": {"video_auc": 0.75},
    "shortcuts": [
        {"shortcut": "self-blending", "auc": 0.5625, "auc_ci": [0.5, 0.625], "share": 0.25,
         "share_ci": [-0.125, 0.5]},
        {"shortcut": "AUC without an interval", "auc": 0.5, "share": None},
    ],
    "videos": {"real": 4, "fake": 4},
}  # fmt: skip


def make_calibration():
    """A calibration whose first note is markup."""
    block = {
        "log_loss": 0.25, "brier": 0.125, "ece": 0.0625,
        "bins": [{"n": 3, "mean": 0.25, "share": 0.5}, {"n": 1, "mean": 0.75, "share": 1.0}],
    }  # fmt: skip
    row = {"kind": "platt", "log_loss": 0.219, "log_loss_ci": [0.1, 0.3]}
    return Calibration(
        checkpoint="best/4", checkpoint_sha256="0" * 64, scoring={"draws": "", "clips": 1},
        data={"path": "pack", "split": "val", "index_sha256": "0" * 64},
        map=CalibrationMap("platt", (0.9,), (0.1,)), rates=Rates(0.05, 0.1),
        video_id=list("abcdef"), label=np.arange(6) % 2, fake_prob=np.linspace(0, 1, 6),
        group=np.arange(6) // 2,
        inputs={}, choice=[row | {"change": -0.03125, "change_ci": [-0.0625, 0.0]}],
        reliability={"before": block, "after": block | {"log_loss": 0.219}}, notes=("<b>A note",),
    )  # fmt: skip


VOID = {"meta", "link", "img", "br"}


class Reader(HTMLParser):
    """Collects elements, and checks that they are closed in order."""

    def __init__(self, text):
        super().__init__()
        self.open, self.elements, self.texts = [], [], []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, name, attributes):
        self.elements.append((name, dict(attributes)))
        if name not in VOID:
            self.open.append(name)

    def handle_endtag(self, name):
        if name not in VOID:
            assert self.open.pop() == name

    def handle_data(self, data):
        self.texts.append(data)


@pytest.fixture(scope="module")
def page(workdir, tmp_path_factory):
    out = tmp_path_factory.mktemp("page") / "report.html"
    made = report(workdir, out=out)
    assert made.bytes < 5e6 and made.evaluations == 2 and made.notes == []
    return out.read_text()


def test_no_element_runs_or_fetches_anything(page):
    read = Reader(page)
    names = {name for name, _ in read.elements}
    assert not names & {"script", "iframe", "object", "embed", "form", "base"}
    for name, attributes in read.elements:
        assert not any(key.startswith("on") for key in attributes)
        for key in ("src", "href", "srcset", "action"):
            link = attributes.get(key, "#")
            assert link.startswith(("#", "data:")) or name == "a" and link.startswith("#")
    assert not re.search(r"url\((?!#)|@import", page) and "\u202e" not in page
    assert any("default-src 'none'" in a.get("content", "") for _, a in read.elements)


def test_identifiers_are_unique_and_links_lead_to_them(page):
    read = Reader(page)
    ids = [attributes["id"] for _, attributes in read.elements if "id" in attributes]
    links = [a["href"][1:] for name, a in read.elements if name == "a"]
    assert len(ids) == len(set(ids)) and set(links) <= set(ids)


def test_the_page_shows_what_the_files_say(page, workdir):
    text = " ".join(" ".join(Reader(page).texts).split())
    for split in ("test", "val"):
        result = json.loads((workdir / "eval" / split / "metrics.json").read_text())
        assert f"{result['overall']['video_auc']:.3f}" in text
    audit = json.loads((workdir / "audit.json").read_text())
    versions = json.loads((workdir / "versions.json").read_text())
    wanted = [audit["index_sha256"], f"jax {versions['jax']}", "best/4", "reached in epoch 2 of 2"]
    wanted += ["warp", "unseen: warp", "Worst errors", "Most uncertain", "synthetic/real/"]
    wanted += ["Training", "Architecture", "Precision and recall", "optimizer.learning_rate"]
    assert [one for one in wanted if one not in text] == []
    assert page.count("data:image/jpeg") > 6


def test_documents_of_other_verbs_are_shown(workdir, tmp_path):
    copy = tmp_path / "run"
    shutil.copytree(workdir, copy, ignore=shutil.ignore_patterns("data"))
    write_calibration(make_calibration(), copy / "calibration.json")
    (copy / "probe.json").write_text(json.dumps(PROBE))
    (copy / "eval" / "test" / "robustness.json").write_text(json.dumps(ROBUSTNESS))
    (copy / "eval" / "val" / "metrics.json").write_text('{"overall": 1}')
    made = report(copy)
    assert made.evaluations == 1 and len(made.notes) == 2, "damaged metrics, and no thumbnails"
    read = Reader((copy / "report.html").read_text())
    text = " ".join(" ".join(read.texts).split())
    wanted = ["0.219", "0.250 before", "≤ 5%", "from 3 groups", "<b>A note.", "platt", "-0.031"]
    wanted += ["JPEG <quality>", "frame_drop: one frame", "90: AUC 0.875 [0.812 – 0.938]", "0.781"]
    wanted += ["self-blending", "share 0.25 [-0.12 – 0.50]", "0.562", "AUC without an interval"]
    assert [one for one in wanted if one not in text] == []
    assert not {"draws", "log_loss_ci", "index_sha256"} & set(read.texts), "no key is shown"
    changed = (copy / "calibration.json").read_text().replace("0.219", "0.119")
    (copy / "calibration.json").write_text(changed)
    assert "calibration.json was changed since" in " ".join(report(copy).notes)
    assert report(copy).out == copy / "report.html", "it replaces its own page"


def test_values_of_any_shape_are_drawn():
    assert draw_value([1, 2.5, None]) == "[1, 2.5, –]"
    assert draw_value([0.5] * 400) == "400 values"
    nested = draw_value({"a": {"x": 1, "y": 2}, "b": {"x": 3, "y": True}})
    assert "<table>" in nested and "yes" in nested
    assert "<h4>a</h4>" in draw_value({"a": {"b": {"c": {"d": 1}}}})


def test_several_detectors_are_compared(workdir, tmp_path, capsys):
    other = tmp_path / "other"
    shutil.copytree(workdir, other)
    shutil.rmtree(other / "eval" / "test")
    (other / "eval" / "val").rename(other / "eval" / "test")
    out = tmp_path / "both.html"
    command = ["report", "--workdir", str(workdir), str(other), "--out", str(out), "--json"]
    assert main(command) == 0
    printed = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert printed["runs"] == ["run", "other"] and printed["evaluations"] == 3
    text = out.read_text()
    Reader(text)
    assert "run − other" in text and "Comparison" in text


def test_a_folder_that_is_no_workdir_and_a_file_of_the_users_are_refused(workdir, tmp_path):
    with pytest.raises(UsageError, match="is not a workdir"):
        report(tmp_path)
    with pytest.raises(UsageError, match=r"has no metrics\.json"):
        report(workdir, evaluations=[tmp_path])
    mine = tmp_path / "mine.html"
    mine.write_text("<p>mine</p>")
    with pytest.raises(UsageError, match="was not written by dfjax"):
        report(workdir, out=mine)
    with pytest.raises(UsageError, match="name one workdir"):
        report([])
