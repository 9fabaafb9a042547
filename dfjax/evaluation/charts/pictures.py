"""Small pictures of frames in pages of HTML."""

from __future__ import annotations

import base64
from collections.abc import Sequence

import cv2
import numpy as np
from jaxtyping import UInt8

from dfjax.evaluation.charts.markup import Html, join, tag

SIDE, QUALITY = 96, 72
"""Largest width in pixels, and JPEG quality."""


def draw_strip(frames: Sequence[np.ndarray] | np.ndarray, name: str, *, side: int = SIDE) -> Html:
    """Returns small pictures of frames side by side.

    Args:
        frames: RGB frames of any size.
        name: What the frames are of, for screen readers.
        side: Largest width of a picture in pixels.
    """
    pictures = (
        tag("img", src=encode_picture(frame, side), alt=f"frame {number} of {name}")
        for number, frame in enumerate(frames, 1)
    )
    return tag("div", join(pictures), class_="strip")


def encode_picture(frame: UInt8[np.ndarray, "H W 3"], side: int) -> Html:
    """Returns an RGB frame, reduced to a width, as a JPEG in a `data:` URL."""
    height, width = frame.shape[:2]
    if width > side:
        size = side, max(1, round(height * side / width))
        frame = cv2.resize(frame, size, interpolation=cv2.INTER_AREA)
    bgr = cv2.cvtColor(np.ascontiguousarray(frame), cv2.COLOR_RGB2BGR)
    done, data = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
    assert done
    return Html(f"data:image/jpeg;base64,{base64.b64encode(data.tobytes()).decode()}")
