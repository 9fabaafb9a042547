"""Draws one frame of a person with a given pose, expression and light."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from dfjax.data.synthetic.identity import Colour, Identity
from dfjax.data.synthetic.scene import Expression, Image, Pose, Scene

Points = NDArray[np.float64]  # [N, 2]
_SHIFT = 4  # fractional bits of cv2's sub-pixel coordinates


class Brush:
    """Draws shapes, given in head units, on a canvas in place, projected by the head's pose."""

    def __init__(self, canvas: Image, pose: Pose, half_width: float) -> None:
        """Keeps the canvas, the pose and the half width of the head in head units."""
        self.canvas, self.pose, self.half_width = canvas, pose, half_width

    def project(self, points: Points) -> Points:
        """Returns the pixel positions of points on the head, f64[N, 2].

        Yaw and pitch move the points on an ellipsoid. Roll, scale and translation follow.
        """
        x, y = points[:, 0], points[:, 1]
        depth = np.sqrt(np.clip(1 - (x / self.half_width) ** 2 - y**2, 0, 1))
        x = x * np.cos(self.pose.yaw) + 0.8 * depth * np.sin(self.pose.yaw)
        y = y * np.cos(self.pose.pitch) + 0.8 * depth * np.sin(self.pose.pitch)
        cos, sin = np.cos(self.pose.roll), np.sin(self.pose.roll)
        turned = np.stack([cos * x - sin * y, sin * x + cos * y], axis=1)
        return turned * self.pose.scale + self.pose.centre

    def fill(self, points: Points, colour: Colour, alpha: float = 1.0) -> None:
        """Fills a polygon with antialiased edges and the opacity `alpha`."""
        px = np.rint(self.project(points) * 2**_SHIFT).astype(np.int32)
        under = self.canvas.copy() if alpha < 1 else None
        cv2.fillPoly(self.canvas, [px], tuple(map(float, colour)), cv2.LINE_AA, _SHIFT)
        if under is not None:
            cv2.addWeighted(self.canvas, alpha, under, 1 - alpha, 0, dst=self.canvas)

    def stroke(self, points: Points, colour: Colour, width: float) -> None:
        """Draws an open polyline of a `width` in head units."""
        px = np.rint(self.project(points) * 2**_SHIFT).astype(np.int32)
        thick = max(1, round(width * self.pose.scale))
        cv2.polylines(
            self.canvas, [px], False, tuple(map(float, colour)), thick, cv2.LINE_AA, _SHIFT
        )


def oval(
    x: float, y: float, rx: float, ry: float, start: float = 0.0, end: float = 360.0
) -> Points:
    """Returns 24 points of an ellipse or of its arc, f64[24, 2].

    Args:
        x: Horizontal position of the centre.
        y: Vertical position of the centre.
        rx: Horizontal half axis.
        ry: Vertical half axis.
        start: First angle of the arc in degrees.
        end: Last angle of the arc in degrees.
    """
    angle = np.radians(np.linspace(start, end, 24))
    return np.stack([x + rx * np.cos(angle), y + ry * np.sin(angle)], axis=1)


def head_outline(person: Identity, grow: float = 1.0) -> Points:
    """Returns the outline of the head, an ellipse whose lower half narrows to the jaw.

    Args:
        person: Identity whose head it is.
        grow: Factor of the size.
    """
    points = oval(0.0, 0.0, person.half_width * grow, grow)
    down = np.clip(points[:, 1], 0, 1)
    points[:, 0] *= 1 - person.taper * down**1.5
    return points


def draw(person: Identity, scene: Scene, t: int) -> Image:
    """Returns frame `t` of `person` in `scene` without camera effects, f32[H, W, 3], 0 to 255."""
    canvas = scene.background.copy()
    brush = Brush(canvas, scene.poses[t], person.half_width)
    if person.hair_style == "long":
        brush.fill(oval(0.0, 0.18, person.half_width * 1.24, 1.24), person.hair * 0.85)
    _draw_body(brush, person)
    for side in (-1, 1):
        place = oval(side * person.half_width, 0.02, person.ear * 0.6, person.ear * 1.2)
        brush.fill(place, person.skin * 0.88)
    brush.fill(head_outline(person), person.skin)
    _draw_inner_face(brush, person, scene.expressions[t])
    _draw_hair(brush, person)
    if person.glasses:
        _draw_glasses(brush, person)
    shade(canvas, scene.poses[t], person, scene.light[t])
    tint_cheeks(brush, person)
    return canvas


def _draw_body(brush: Brush, person: Identity) -> None:
    pose = brush.pose
    upright = Pose(pose.centre, pose.scale, 0.0, 0.0, pose.roll * 0.3)
    body = Brush(brush.canvas, upright, 9.0)
    body.fill(oval(0.0, 2.3, 1.55, 1.12), person.shirt)
    body.fill(oval(0.0, 1.15, person.half_width * 0.62, 0.42), person.skin * 0.78)


def _draw_hair(brush: Brush, person: Identity) -> None:
    if person.hair_style == "bald":
        return
    w, line = person.half_width, person.hairline
    crown = oval(0.0, -0.05, w * 1.08, 1.08, 182.0, 358.0)
    edges = {
        "short": [[w * 0.92, -0.35], [w * 0.5, line], [-w * 0.5, line], [-w * 0.92, -0.35]],
        "long": [[w * 0.86, 0.0], [w * 0.4, line], [-w * 0.4, line], [-w * 0.86, 0.0]],
        "fringe": [[w * 0.9, -0.3], [w * 0.4, line + 0.14], [0, line + 0.2], [-w * 0.9, -0.3]],
        "parted": [[w * 0.95, -0.3], [w * 0.35, line - 0.12], [-w * 0.9, -0.28]],
    }
    brush.fill(np.concatenate([crown, np.array(edges[person.hair_style])]), person.hair)
    brush.stroke(oval(0.0, -0.05, w * 0.8, 0.93, 215.0, 300.0), person.hair * 1.25 + 10, 0.03)


def _draw_inner_face(brush: Brush, person: Identity, expression: Expression) -> None:
    if person.beard:
        jaw = oval(0.0, 0.0, person.half_width, 1.0, 0.0, 180.0)
        jaw[:, 0] *= 1 - person.taper * np.clip(jaw[:, 1], 0, 1) ** 1.5
        cheeks = oval(0.0, 0.05, person.half_width * 0.8, person.mouth_y - 0.2, 180.0, 0.0)
        brush.fill(np.concatenate([jaw, cheeks]), person.hair, person.beard)
    for x, y in person.freckles:
        brush.fill(oval(x, y, 0.02, 0.02), person.skin * [0.7, 0.55, 0.5])
    for side in (-1, 1):
        _draw_eye(brush, person, expression, side)
    _draw_nose(brush, person)
    _draw_mouth(brush, person, expression)


def _draw_eye(brush: Brush, person: Identity, expression: Expression, side: int) -> None:
    x, y, size = side * person.eye_gap, person.eye_y, person.eye_size
    open_ = 0.55 * size * (1 - 0.9 * expression.blink)
    brush.fill(oval(x, y - 0.02, size * 1.3, size * 0.95), person.skin * 0.84)
    brush.fill(oval(x, y, size, open_ + 0.01), np.array([242.0, 240, 236]))
    iris = min(size * 0.5, open_ + 0.004)
    look = x + 0.4 * size * expression.gaze
    brush.fill(oval(look, y, size * 0.46, iris), person.iris)
    brush.fill(oval(look, y, size * 0.22, min(size * 0.22, iris)), np.array([12.0, 10, 10]))
    if expression.blink < 0.5:
        brush.fill(oval(look + 0.03, y - 0.03, 0.02, 0.02), np.array([255.0, 255, 255]))
    lid = oval(x, y, size * 1.05, open_ + 0.02, 190.0, 350.0)
    brush.stroke(lid, person.skin * 0.35, 0.025)
    tilt = side * np.array([[-1.15, 0.0], [0.1, 0.0], [1.2, 0.0]]) * size
    brow = tilt + [x, y - person.brow_lift] + [[0, 0.02], [0, -0.035], [0, 0.03]]
    brow[:, 1] += person.eye_tilt * np.array([-1, 0, 1])
    brush.stroke(brow, person.hair * 0.8, person.brow_width)


def _draw_nose(brush: Brush, person: Identity) -> None:
    top, tip, w = person.eye_y + 0.05, person.eye_y + person.nose_length, person.nose_width
    bridge = np.array([[0.0, top], [-0.3 * w, top], [-w, tip], [0.0, tip + 0.06]])
    brush.fill(bridge, person.skin * 0.9, 0.75)
    brush.fill(oval(0.01, tip, w * 0.55, 0.07), person.skin * 1.08)
    brush.stroke(oval(0.0, tip + 0.02, w, 0.07, 10.0, 170.0), person.skin * 0.62, 0.025)
    for side in (-1, 1):
        brush.fill(oval(side * w * 0.5, tip + 0.05, 0.03, 0.018), person.skin * 0.35)


def _draw_mouth(brush: Brush, person: Identity, expression: Expression) -> None:
    y, w, lip = person.mouth_y, person.mouth_width * (1 + 0.15 * expression.smile), person.lip
    x = np.linspace(-1, 1, 13)
    bow = (1 - x**2)[:, None]
    bend = 0.09 * expression.smile
    middle = np.stack([w * x, y - bend * (x**2 - 0.4)], axis=1)
    gap = 0.16 * expression.mouth * bow * [[0, 1]]
    upper, lower = middle - 0.35 * gap, middle + 0.65 * gap
    brush.fill(
        np.concatenate([upper - lip * bow * [[0, 0.8]], lower[::-1] + lip * bow * [[0, 1]]]),
        person.lips,
    )
    if expression.mouth > 0.08:
        brush.fill(np.concatenate([upper, lower[::-1]]), np.array([52.0, 18, 22]))
        teeth = upper + 0.4 * gap
        brush.fill(np.concatenate([upper, teeth[::-1]])[2:-2], np.array([238.0, 236, 228]))
    else:
        brush.stroke(middle, person.lips * 0.55, 0.02)


def _draw_glasses(brush: Brush, person: Identity) -> None:
    frame = np.array([30.0, 28, 34])
    for side in (-1, 1):
        brush.stroke(oval(side * person.eye_gap, person.eye_y, 0.24, 0.2), frame, 0.03)
    brush.stroke(np.array([[-0.1, person.eye_y - 0.03], [0.1, person.eye_y - 0.03]]), frame, 0.03)


def local_grid(shape: tuple[int, ...], pose: Pose, half_width: float) -> tuple[Image, Image]:
    """Returns x and y of every pixel relative to the head, f32[H, W] each.

    The axes follow the roll of the head. Its outline has about the radius 1.
    """
    height, width = shape[:2]
    x = (np.arange(width, dtype=np.float32)[None, :] - pose.centre[0]) / pose.scale
    y = (np.arange(height, dtype=np.float32)[:, None] - pose.centre[1]) / pose.scale
    cos, sin = np.cos(pose.roll), np.sin(pose.roll)
    local_x = (cos * x + sin * y) / half_width
    return local_x.astype(np.float32), (cos * y - sin * x).astype(np.float32)


def shade(
    canvas: Image, pose: Pose, person: Identity, light: NDArray[np.float64], rim: float = 0.12
) -> None:
    """Shades the head like a sphere, in place: brighter towards the light, darker at the rim.

    Args:
        canvas: Picture to change.
        pose: Pose of the head.
        person: Identity whose head it is.
        light: x and y of the light's direction times its strength, f64[2].
        rim: Loss of brightness at the outline.
    """
    x, y = local_grid(canvas.shape, pose, person.half_width)
    radius = np.sqrt(x**2 + y**2)
    reach = np.exp(-5 * np.clip(radius - 1, 0, None)) / np.maximum(radius, 1)
    towards = (x * np.float32(light[0]) + y * np.float32(light[1])) * reach
    edge = rim * np.clip(radius, 0, 1) ** 3 * reach
    canvas *= (1 + towards - edge)[:, :, None].astype(np.float32)


def tint_cheeks(brush: Brush, person: Identity) -> None:
    """Adds red to the cheeks with soft edges, in place."""
    if person.blush < 0.02:
        return
    x, y = local_grid(brush.canvas.shape, brush.pose, person.half_width)
    turn = 0.8 * np.sin(brush.pose.yaw)
    spots = sum(np.exp(-12 * ((x - turn - s * 0.52) ** 2 + (y - 0.25) ** 2)) for s in (-1, 1))
    brush.canvas *= 1 - person.blush * np.asarray(spots)[:, :, None] * [-0.3, 1, 0.8]
