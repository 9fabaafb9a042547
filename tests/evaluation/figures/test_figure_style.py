"""Texts in figures: characters that no font has are replaced, and nothing is warned of."""

import warnings

import pytest

from dfjax.evaluation.figures import style as figure_style
from dfjax.evaluation.figures.style import canvas, figure, make_drawable


@pytest.fixture(autouse=True)
def only_the_font_of_matplotlib(monkeypatch):
    """Other machines have other fonts."""
    monkeypatch.setattr(figure_style, "FALLBACKS", ())
    for function in (figure_style.find_fonts, figure_style._list_characters):
        function.cache_clear()
    yield
    for function in (figure_style.find_fonts, figure_style._list_characters):
        function.cache_clear()


def test_what_a_font_has_is_kept_and_the_rest_is_a_box():
    assert make_drawable("Łódź · −1 № 5\n") == "Łódź · −1 № 5\n"
    assert make_drawable("视频 a.mp4") == "□□ a.mp4" and make_drawable("\U000e0041") == "□"


def test_a_figure_with_any_text_is_written_without_a_warning(tmp_path):
    name = "한국어 視頻"
    with warnings.catch_warnings(action="error"):
        with figure(tmp_path / "f.png", 1, size=(4.0, 3.0)) as (drawn, (axes,)):
            axes.barh([0, 1], [1, 2], label=name)
            axes.set_yticks([0, 1], labels=[name, "Deepfakes"])
            axes.set_title(name)
            axes.set_xlim(-2, 2)
            axes.legend()
            drawn.suptitle(name)
        texts = [label.get_text() for label in axes.get_yticklabels()]
    assert texts == ["□□□ □□", "Deepfakes"] and axes.get_title("left") == "□□□ □□"
    assert (tmp_path / "f.png").stat().st_size > 1000


def test_installed_fonts_are_used_for_what_the_first_one_lacks(monkeypatch):
    monkeypatch.setattr(figure_style, "FALLBACKS", ("STIXGeneral", "No Such Font"))
    assert figure_style.find_fonts() == ["DejaVu Sans", "STIXGeneral"]
    with canvas(None, size=(1.0, 1.0)) as drawn:
        text = drawn.text(0, 0, "x")
    assert text.get_fontfamily() == ["DejaVu Sans", "STIXGeneral"]
