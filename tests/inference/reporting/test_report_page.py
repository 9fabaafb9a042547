"""Tests that a report shows what the files of a workdir say, and neither runs nor loads others."""

import json
import re
import shutil
from html.parser import HTMLParser

import pytest

from dfjax.commands.main import main
from dfjax.errors import UsageError
from dfjax.inference.reporting.documents import draw_value
from dfjax.inference.reporting.report import report

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
    (copy / "calibration.json").write_text(
        '{"method": "<b>", "ece": {"before": 0.25, "after": 0.125}}'
    )
    rows = [{"change": "jpeg", "level": level, "auc": 1 - level / 10} for level in range(3)]
    (copy / "eval" / "test" / "robustness.json").write_text(json.dumps({"curves": rows}))
    (copy / "eval" / "val" / "metrics.json").write_text('{"overall": 1}')
    made = report(copy)
    text = (copy / "report.html").read_text()
    assert "Calibration" in text and "0.125" in text and "&lt;b&gt;" in text and "jpeg" in text
    assert made.evaluations == 1 and len(made.notes) == 2, "damaged metrics, and no thumbnails"
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
