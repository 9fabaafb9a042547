"""Fixtures that make trees of empty files and small face crops."""

import cv2
import numpy as np
import pytest


def touch_all(root, *paths):
    for path in paths:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).touch()
    return root


def write_crop(path, value=0, size=16):
    path.parent.mkdir(parents=True, exist_ok=True)
    image = np.full((size, size, 3), value, np.uint8)
    image[: size // 2] += 20
    cv2.imwrite(str(path), image)


@pytest.fixture
def touch():
    return touch_all


@pytest.fixture
def crop():
    return write_crop


@pytest.fixture
def kinds():
    """Returns the video ids of a listing's problems by kind."""

    def collect(listing):
        found = {}
        for problem in listing.problems:
            found.setdefault(problem.kind, []).append(problem.video_id)
        return found

    return collect
