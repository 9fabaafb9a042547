"""Draws random scenes: motion, expression, light, background and camera of one recording.

Real and fake videos have the same distributions of these, and a fake shares the scene of the real
video that it was made from. The scene therefore does not separate the classes.
"""

from __future__ import annotations

import dataclasses

import cv2
import numpy as np
from numpy.typing import NDArray

from dfjax.data.synthetic.identity import make_generator

Frames = NDArray[np.float64]  # [T], one value per frame
Image = NDArray[np.float32]  # [H, W, 3], RGB, 0…255


@dataclasses.dataclass(frozen=True)
class Pose:
    """Position and orientation of the head in one frame, in pixels of the canvas and radians."""

    centre: tuple[float, float]  # px
    scale: float  # px per head unit
    yaw: float  # radians
    pitch: float  # radians
    roll: float  # radians


@dataclasses.dataclass(frozen=True)
class Expression:
    """Facial expression in one frame. Values are from 0 to 1; `smile` and `gaze` from -1 to 1."""

    blink: float
    mouth: float
    smile: float
    gaze: float


@dataclasses.dataclass(frozen=True)
class Camera:
    """Effects of the camera on the drawn picture: colour, sharpness, noise and compression."""

    gain: NDArray[np.float64]  # [T, 3], white balance times exposure, including flicker
    gamma: float
    shrink: float  # relative size to which the picture is downsampled before its final size
    noise: float  # standard deviation in grey levels
    quality: int  # JPEG quality


@dataclasses.dataclass(frozen=True)
class Scene:
    """Random parameters of one recording of `len(poses)` frames."""

    canvas: tuple[int, int]  # width and height in px
    poses: list[Pose]
    expressions: list[Expression]
    light: NDArray[np.float64]  # [T, 2], x and y of the light's direction times its strength
    makeup: NDArray[np.float64]  # [3], colour gain of the inner face
    smoothing: float  # share of the inner face's detail that a phone's filter removes
    background: Image
    camera: Camera


def make_scene(seed: int, name: str, frames: int, canvas: tuple[int, int], head: float) -> Scene:
    """Returns the random scene of a recording.

    Args:
        seed: Seed of the data set.
        name: Name of the recording; the same seed and name give the same scene.
        frames: Number of frames.
        canvas: Width and height of the canvas in pixels.
        head: Half height of the head in pixels, which varies by -8 % to +6 % between recordings.
    """
    rng = make_generator(seed, "scene", name)
    width, height = canvas
    where = rng.uniform(-0.10, 0.10, 2) * head
    turn = rng.normal(0, [0.16, 0.07, 0.05])
    sway = [_wander(rng, frames) for _ in range(6)]
    scale = head * rng.uniform(0.92, 1.06)
    poses = [
        Pose(
            centre=(
                width / 2 + where[0] + 0.06 * head * sway[0][t],
                height / 2 + where[1] + 0.05 * head * sway[1][t],
            ),
            scale=scale * (1 + 0.02 * sway[2][t]),
            yaw=turn[0] + 0.14 * sway[3][t],
            pitch=turn[1] + 0.07 * sway[4][t],
            roll=turn[2] + 0.05 * sway[5][t],
        )
        for t in range(frames)
    ]
    angle, strength = rng.uniform(0, 2 * np.pi), rng.uniform(0.1, 0.38)
    angles = angle + 0.25 * _wander(rng, frames)
    light = strength * np.stack([np.cos(angles), np.sin(angles)], axis=1)
    return Scene(
        canvas=canvas,
        poses=poses,
        expressions=_make_expressions(rng, frames),
        light=light,
        makeup=rng.normal(1.0, 0.02) * rng.normal(1.0, [0.015, 0.01, 0.015]),
        smoothing=rng.uniform(0.0, 0.9),
        background=_make_background(rng, canvas),
        camera=_make_camera(rng, frames),
    )


def _wander(rng: np.random.Generator, frames: int) -> Frames:
    """Returns a smooth curve of about unit amplitude: two slow sines with random phases."""
    t = np.arange(frames) / 12.0
    slow, fast = rng.uniform(0.2, 0.6), rng.uniform(0.6, 1.4)
    phase = rng.uniform(0, 2 * np.pi, 2)
    return np.sin(2 * np.pi * slow * t + phase[0]) + 0.4 * np.sin(2 * np.pi * fast * t + phase[1])


def _make_expressions(rng: np.random.Generator, frames: int) -> list[Expression]:
    t = np.arange(frames)
    blink_at, period = rng.uniform(0, 40), rng.uniform(30, 60)
    distance = np.abs((t - blink_at + period / 2) % period - period / 2)
    blink = np.clip(1.4 - distance / 1.5, 0, 1)
    talks = rng.random() < 0.6
    rhythm = 0.5 + 0.5 * np.sin(2 * np.pi * t / rng.uniform(5, 9) + rng.uniform(0, 6))
    mouth = np.clip(rhythm * rng.uniform(0.3, 0.9) if talks else np.zeros(frames), 0, 1)
    smile = np.clip(rng.normal(0.4, 0.35) + 0.15 * _wander(rng, frames), -0.6, 1)
    gaze = np.clip(rng.normal(0, 0.4) + 0.2 * _wander(rng, frames), -1, 1)
    return [Expression(*map(float, row)) for row in zip(blink, mouth, smile, gaze)]


def _make_background(rng: np.random.Generator, canvas: tuple[int, int]) -> Image:
    """Returns a background: a colour gradient with blurred rectangles and grain."""
    width, height = canvas
    ends = rng.uniform(50, 200) + rng.normal(0, 22, (2, 3))
    ramp = np.linspace(0, 1, width)[None, :, None]
    image = np.broadcast_to(ends[0] + ramp * (ends[1] - ends[0]), (height, width, 3))
    image = np.ascontiguousarray(image, dtype=np.float32)
    for _ in range(rng.integers(2, 7)):
        corner = rng.uniform(-0.2, 1.0, 2) * canvas
        far = corner + rng.uniform(0.1, 0.6, 2) * canvas
        colour = tuple(float(v) for v in np.clip(ends.mean(0) + rng.normal(0, 30, 3), 0, 255))
        cv2.rectangle(image, tuple(map(int, corner)), tuple(map(int, far)), colour, -1)
    blurred = cv2.GaussianBlur(image, (0, 0), rng.uniform(0.01, 0.05) * width)
    coarse = rng.normal(0, rng.uniform(1, 8), (height // 3 + 1, width // 3 + 1))
    grain = cv2.resize(coarse, canvas, interpolation=cv2.INTER_LINEAR)[:, :, None]
    return np.asarray(np.clip(blurred + grain, 0, 255), dtype=np.float32)


def _make_camera(rng: np.random.Generator, frames: int) -> Camera:
    balance = rng.normal(1.0, [0.06, 0.03, 0.06]) * rng.uniform(0.75, 1.05)
    flicker = rng.normal(0, rng.uniform(0.0, 0.04), frames)
    return Camera(
        gain=balance[None, :] * (1 + flicker[:, None]),
        gamma=rng.uniform(0.9, 1.1),
        shrink=rng.uniform(0.55, 1.0),
        noise=rng.uniform(0.5, 3.5),
        quality=int(rng.integers(72, 97)),
    )


def shoot(
    image: Image, camera: Camera, t: int, size: tuple[int, int], rng: np.random.Generator
) -> NDArray[np.uint8]:
    """Returns the drawn frame `t` with the effects of the camera, u8[H, W, 3].

    Args:
        image: Drawn frame, f32[h, w, 3] from 0 to 255.
        camera: Camera of the scene.
        t: Number of the frame.
        size: Width and height of the result in pixels.
        rng: Random generator of the sensor noise.
    """
    height, width = image.shape[:2]
    small = max(8, round(width * camera.shrink)), max(8, round(height * camera.shrink))
    soft = cv2.resize(image, small, interpolation=cv2.INTER_AREA)
    larger = size[0] > small[0]
    how = cv2.INTER_LINEAR if larger else cv2.INTER_AREA
    soft = cv2.resize(soft, size, interpolation=how)
    stored = 255 * np.power(np.clip(soft / 255, 0, 1), camera.gamma) * camera.gain[t]
    stored = stored + rng.normal(0, camera.noise, stored.shape)
    return np.clip(np.rint(stored), 0, 255).astype(np.uint8)
