"""Tests the sheet of a preview: positions of pictures, and borders by label."""

import cv2
import numpy as np
import pytest
from matplotlib.colors import to_rgb

from dfjax.evaluation.figures import preview_sheet as sheet
from dfjax.evaluation.figures.preview_sheet import (
    PreviewRow,
    PreviewSection,
    PreviewTile,
    draw_preview,
)
from dfjax.evaluation.figures.style import FAKE_COLOUR, REAL_COLOUR

DPI = 150


def flat(value):
    return np.full((16, 16, 3), value, np.uint8)


def test_pictures_stand_in_rows_and_columns(tmp_path):
    tiles = [PreviewTile(flat(v), "0.5", t) for v, t in ((40, 0.0), (80, 0.5), (120, 1.0))]
    rows = [
        PreviewRow("Rotation", "a, b", tiles),
        PreviewRow("Hue", "", [PreviewTile(flat(200), "")]),
    ]
    path = tmp_path / "new" / "sheet.png"
    draw_preview(
        [PreviewSection("One", rows), PreviewSection("Two", rows[1:])],
        path,
        title="t",
        subtitle="s",
    )
    picture = cv2.imread(str(path))[..., ::-1]
    across = 2 * sheet.MARGIN + sheet.GUTTER + 4 * (sheet.TILE + sheet.GAP) - sheet.GAP
    assert abs(picture.shape[1] - DPI * across) <= 1

    def middle(row, column, headings):
        step = sheet.TILE + sheet.CAPTION
        y = sheet.MARGIN + sheet.HEADER + headings * sheet.HEADING + row * step + sheet.TILE / 2
        x = sheet.MARGIN + sheet.GUTTER + column * (sheet.TILE + sheet.GAP) + sheet.TILE / 2
        return round(DPI * y), round(DPI * x)

    for column, (value, colour) in enumerate(((40, REAL_COLOUR), (80, None), (120, FAKE_COLOUR))):
        y, x = middle(0, column, 1)
        assert picture[y, x].tolist() == [value] * 3
        edge = picture[y, x - round(DPI * sheet.TILE / 2) + 1]
        real, fake = (np.array(to_rgb(c)) * 255 for c in (REAL_COLOUR, FAKE_COLOUR))
        expected = (real + fake) / 2 if colour is None else np.array(to_rgb(colour)) * 255
        np.testing.assert_allclose(edge, expected, atol=1.5)
    assert picture[middle(1, 0, 1)].tolist() == [200] * 3
    assert picture[middle(2, 0, 2)].tolist() == [200] * 3  # below a second heading
    assert picture[middle(1, 1, 1)].tolist() == [255] * 3


@pytest.mark.parametrize(
    ("text", "lines"),
    [("", [""]), ("a, b", ["a, b"]), ("x" * 30 + ", " + "y" * 30, ["x" * 30, "y" * 30])],
)
def test_details_break_after_commas(text, lines):
    assert sheet._wrap(text) == lines
