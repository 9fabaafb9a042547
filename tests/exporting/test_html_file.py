"""The page of a detector holds all that it needs, and its policy lets it load nothing else."""

import base64
import dataclasses
import hashlib
import json
import re
from pathlib import Path

import pytest

from dfjax.config import load_config
from dfjax.data.faces.recipe import CropRecipe
from dfjax.errors import UsageError
from dfjax.experiment.saved import Saved
from dfjax.exporting import html_file
from dfjax.exporting.html_file import save_html
from dfjax.exporting.program import Program
from dfjax.exporting.web_runtime import WebRuntime
from dfjax.inference import export_page
from dfjax.inference.export_page import make_page

RUNTIME = WebRuntime(b"export{}\n//# sourceMappingURL=ort.map", b"\0asm")


def make_stored(spec, **crops):
    """Returns a stored detector without parameters, whose crop recipe is given."""
    config = load_config(spec).copy_and_resolve_references().unlock()
    recipe = {"detector": "none", "frames": 1, "size": 64}
    config.data.crop_size = 64
    config.crops.update(dataclasses.asdict(CropRecipe(**(recipe | crops))))
    return Saved(config.lock(), {}, None, "best/12", "0" * 64, (), Path("absent"))


@pytest.fixture
def page(monkeypatch, tmp_path):
    """Returns the text of a page with a network of a few bytes."""
    monkeypatch.setattr(export_page, "find_web_runtime", lambda source: RUNTIME)
    monkeypatch.setattr(html_file, "write_onnx", lambda program: b"network")
    made = make_page(make_stored("meso4:smoke"), face_model=None, runtime=None)
    program = Program(lambda variables, inputs: inputs, {}, {}, "fake_prob", {})
    save_html(tmp_path / "page.html", program, made)
    return (tmp_path / "page.html").read_text()


def test_a_page_names_no_address(page):
    assert re.findall(r"(?:https?:)?//[\w.-]+\.\w+", page) == []
    assert not re.search(r"\b(?:src|href)=(?![\"']?(?:#|data:))", page.partition("id=settings")[0])
    assert "{{" not in page.partition("id=settings")[0]


def test_the_policy_allows_the_script_of_the_page_alone(page):
    (policy,) = re.findall(r'Content-Security-Policy" content="([^"]*)"', page)
    assert policy.startswith("default-src 'none'; script-src 'sha256-")
    assert "connect-src" not in policy and "unsafe-eval" not in policy.replace("wasm-unsafe", "")
    script = page.rpartition("<script>")[2].partition("</script>")[0]
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"'sha256-{digest}'" in policy


def test_settings_are_those_of_prediction(page):
    text = re.search(r"id=settings>([^<]*)<", page)[1]
    settings = json.loads(text)
    assert settings["cutting"] == {
        **{"detector": "none", "frames": 1, "every": None, "size": 64},
        **{"margin": 1.3, "jpeg_quality": 95},
    }
    assert (settings["sampling"]["frames"], settings["calibration"]) == (1, None)


@pytest.mark.parametrize(
    ("spec", "crops", "message"),
    [
        ("two_stream_flow:smoke", {}, "no optical flow"),
        ("defake:smoke", {}, "is a generator"),
        ("meso4:smoke", {"align": True, "detector": "yunet"}, "does not align"),
        ("meso4:smoke", {"min_quality": (("sharpness", 5.0),)}, "does not measure the quality"),
    ],
)
def test_what_a_page_cannot_do_is_refused(spec, crops, message):
    with pytest.raises(UsageError, match=message):
        make_page(make_stored(spec, **crops), face_model=None, runtime=None)
