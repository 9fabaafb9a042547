"""Draws the visible mark of restored frames, a label in the lower left corner."""

import cv2
import numpy as np

from dfjax.data.faces.images import Frame

TEXT = "RESTORED BY A MODEL"
FONT = cv2.FONT_HERSHEY_SIMPLEX
HEIGHT = 0.03  # of the letters, as a share of the frame's height
LEAST_HEIGHT = 9.0  # pixels, unless the frame is too narrow for them
WIDEST = 0.9  # of the label, as a share of the frame's width
SHADE = 0.35  # brightness of the picture behind the letters


def draw_label(frame: Frame) -> Frame:
    """Returns a frame with the label: white letters on a darkened box."""
    height, width = frame.shape[:2]
    (full_width, full_height), below = cv2.getTextSize(TEXT, FONT, 1.0, 1)
    scale = max(HEIGHT * height, LEAST_HEIGHT) / full_height
    scale = min(scale, WIDEST * width / (full_width + full_height))
    thickness = max(1, round(1.5 * scale))
    pad = max(1, round(0.5 * full_height * scale))
    box_height = min(height, round((full_height + below / 2) * scale) + 2 * pad)
    box_width = min(width, round(full_width * scale) + 2 * pad)
    drawn = frame.copy()
    box = drawn[height - box_height :, :box_width]
    box[:] = np.rint(box * SHADE).astype(np.uint8)
    place = (pad, height - pad - round(below / 2 * scale))
    return cv2.putText(drawn, TEXT, place, FONT, scale, (255, 255, 255), thickness, cv2.LINE_AA)
