"""Opens a report in Chromium: nothing is fetched, nothing errs, and themes and sizes fit."""

import numpy as np
import pytest
from browser import look
from PIL import Image

from dfjax.inference.reporting.report import report

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def page(workdir, tmp_path_factory):
    out = tmp_path_factory.mktemp("page") / "report.html"
    report(workdir, out=out)
    return out


@pytest.mark.parametrize(("width", "dark"), [(500, False), (1280, False), (1280, True)])
def test_a_page_is_drawn_without_requests_and_errors(page, tmp_path, width, dark):
    picture, messages, asked = look(page, tmp_path, width=width, dark=dark)
    assert (messages, asked) == ([], [])
    pixels = np.asarray(Image.open(picture).convert("L"))
    assert pixels.shape[1] == width and (pixels[-1].mean() < 60) == dark
    assert pixels.std() > 10, "the page is not empty"


def test_a_page_that_fetches_and_errs_is_noticed(tmp_path):
    page = tmp_path / "page.html"
    page.write_text("<img src='http://127.0.0.1:9/x.png'><script>undefined_name</script>")
    _, messages, asked = look(page, tmp_path)
    assert any("undefined_name" in message for message in messages)
    assert asked == ["http://127.0.0.1:9/x.png"]
