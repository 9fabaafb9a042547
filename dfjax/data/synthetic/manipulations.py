"""Manipulations of the inner face, one function per family.

Each function takes the real picture of a frame and returns the manipulated one. The strength of the
visible artefacts, `Forgery.visible`, varies from frame to frame between 0 and 1. Scores of several
frames are therefore more informative than the score of a single frame.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray

from dfjax.data.synthetic.face import draw, local_grid, shade
from dfjax.data.synthetic.identity import Identity
from dfjax.data.synthetic.scene import Frames, Image, Pose, Scene

Mask = NDArray[np.float32]  # [H, W, 1], from 0 to 1


@dataclasses.dataclass(frozen=True)
class Forgery:
    """Random parameters of one manipulated video."""

    target: Identity
    donor: Identity
    scene: Scene
    visible: Frames  # strength of the artefacts per frame, from 0 to 1
    jitter: NDArray[np.float64]  # [T, 4], standard normal, independent from frame to frame
    gain: NDArray[np.float64]  # [3], colour mismatch at full visibility
    light: NDArray[np.float64]  # [2], light of the pasted face at full visibility
    cell: int  # px of the upsampling grid
    phase: float  # of the upsampling grid and of the waves of `warp`, radians
    loss: float  # share of the detail that the generator loses
    extent: float  # size of the manipulated region relative to the inner face
    seam: float  # width of its soft edge


Manipulation = Callable[[Image, Forgery, int], Image]


def make_forgery(
    rng: np.random.Generator, target: Identity, donor: Identity, scene: Scene
) -> Forgery:
    """Returns random parameters of a forgery of `scene`.

    Its artefacts are visible in one contiguous part of the video, 50 % to 80 % of the frames.

    Args:
        rng: Random generator of the video.
        target: Person shown in the scene.
        donor: Person whose face a `blend` pastes in.
        scene: Scene of the real video.
    """
    frames = len(scene.poses)
    side = rng.choice([-1.0, 1.0])
    angle = np.arctan2(*scene.light[0][::-1]) + side * rng.uniform(1.6, 3.1)
    return Forgery(
        target=target,
        donor=donor,
        scene=scene,
        visible=make_visible(rng, frames),
        jitter=rng.normal(size=(frames, 4)),
        gain=1 + side * rng.uniform(0.24, 0.4) + rng.normal(0, [0.06, 0.03, 0.06]),
        light=rng.uniform(0.45, 0.65) * np.array([np.cos(angle), np.sin(angle)]),
        cell=int(rng.integers(7, 10)),
        phase=rng.uniform(0, 6),
        loss=rng.uniform(0.0, 0.7),
        extent=rng.uniform(0.92, 1.06),
        seam=rng.uniform(0.05, 0.12),
    )


def make_visible(rng: np.random.Generator, frames: int) -> Frames:
    """Returns the strength of artefacts per frame: near 1 in one contiguous part, else 0."""
    length = max(1.0, rng.uniform(0.5, 0.8) * frames)
    middle = rng.uniform(0.3, 0.7) * (frames - 1)
    distance = np.abs(np.arange(frames) - middle) - length / 2
    return np.clip(0.5 - distance / 2, 0.0, 1.0) * rng.uniform(0.9, 1.0)


def inner_mask(
    shape: tuple[int, ...], pose: Pose, person: Identity, *, extent: float, seam: float
) -> Mask:
    """Returns the mask of the inner face, from brows to chin, f32[H, W, 1] from 0 to 1.

    Args:
        shape: Shape of the picture, height first.
        pose: Pose of the head.
        person: Identity whose head it is.
        extent: Size relative to the inner face.
        seam: Width of the soft edge relative to the mask's radius.
    """
    x, y = local_grid(shape, pose, person.half_width)
    x = (x - 0.55 * np.sin(pose.yaw)) / 0.70
    y = (y - 0.16 - 0.55 * np.sin(pose.pitch)) / 0.62
    radius = np.sqrt(x**2 + y**2) / extent
    return np.clip(0.5 + (1 - radius) / (2 * seam), 0, 1).astype(np.float32)[:, :, None]


def wear_makeup(image: Image, person: Identity, scene: Scene, t: int) -> Image:
    """Returns `image` with a constant tint and smoothing of the inner face.

    It is applied to real and fake videos alike, so that neither a static tint nor a loss of detail
    separates the classes. Make-up and the filters of phones have the same effect.
    """
    mask = inner_mask(image.shape, scene.poses[t], person, extent=0.97, seam=0.11)
    smooth = cv2.GaussianBlur(image, (0, 0), 0.04 * scene.poses[t].scale)
    worn: Image = image + np.float32(scene.smoothing) * np.asarray(smooth - image, np.float32)
    return image + mask * (worn * scene.makeup.astype(np.float32) - image)


def blend(image: Image, forgery: Forgery, t: int) -> Image:
    """Returns `image` with the donor's inner face; its colour match is off by `forgery.gain`."""
    mask = _mask(image, forgery, t)
    donor = wear_makeup(draw(forgery.donor, forgery.scene, t), forgery.target, forgery.scene, t)
    pasted = _generate(donor, forgery, 0.8 * forgery.visible[t])
    core = mask > 0.5
    matched = _mean(image, core) / np.maximum(_mean(pasted, core), 1)
    fault = 1 + forgery.visible[t] * (forgery.gain - 1)
    return image + mask * (pasted * (matched * fault).astype(np.float32) - image)


def colour(image: Image, forgery: Forgery, t: int) -> Image:
    """Returns `image` with another colour and light direction in the inner face."""
    mask = _mask(image, forgery, t)
    lit = _generate(image, forgery, 0.8 * forgery.visible[t])
    change = (forgery.light - forgery.scene.light[t]) * forgery.visible[t]
    shade(lit, forgery.scene.poses[t], forgery.target, change, rim=0.0)
    gain = 1 + 0.8 * forgery.visible[t] * (forgery.gain - 1)
    return image + mask * (lit * gain.astype(np.float32) - image)


def flicker(image: Image, forgery: Forgery, t: int) -> Image:
    """Returns `image` with the inner face shifted and brightened at random in every frame."""
    mask = _mask(image, forgery, t)
    scale = forgery.scene.poses[t].scale
    jump = forgery.jitter[t] * forgery.visible[t]
    dx, dy = 0.045 * scale * jump[:2]
    shift = np.array([[1, 0, dx], [0, 1, dy]])
    size = image.shape[1], image.shape[0]
    made = _generate(image, forgery, 0.8 * forgery.visible[t])
    moved = cv2.warpAffine(
        made, shift, size, flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE
    )
    return image + mask * (moved * np.float32(1 + 0.25 * jump[2]) - image)


def upsample(image: Image, forgery: Forgery, t: int) -> Image:
    """Returns `image` with the inner face upsampled from a low resolution: blur and a grid."""
    mask = _mask(image, forgery, t)
    return image + mask * (_generate(image, forgery, forgery.visible[t]) - image)


def _generate(image: Image, forgery: Forgery, amount: float) -> Image:
    """Returns `image` with a share `amount` of the artefacts of a generator: blur and a grid.

    All families use it except `warp`, which generates no new pixels.
    """
    height, width = image.shape[:2]
    cell = forgery.cell
    few = max(2, width // cell), max(2, height // cell)
    small = cv2.resize(image, few, interpolation=cv2.INTER_AREA)
    large = cv2.resize(small, (width, height), interpolation=cv2.INTER_CUBIC)
    waves = [np.sin(2 * np.pi * np.arange(n) / cell + forgery.phase) for n in (height, width)]
    grid = 1 + 0.3 * waves[0][:, None, None] * waves[1][None, :, None]
    made = (image + np.float32(forgery.loss) * (large - image)) * grid.astype(np.float32)
    return image + np.float32(amount) * (made - image)


def warp(image: Image, forgery: Forgery, t: int) -> Image:
    """Returns `image` with the inner face distorted by waves whose phase moves with time."""
    mask = _mask(image, forgery, t)
    pose = forgery.scene.poses[t]
    x, y = local_grid(image.shape, pose, 1.0)
    size = np.float32(0.08 * pose.scale * forgery.visible[t]) * mask[:, :, 0]
    swim = np.float32(forgery.phase + 0.9 * t)
    rows, columns = np.indices(image.shape[:2], dtype=np.float32)
    bent_x = columns + size * np.sin(9 * y + swim)
    bent_y = rows + size * np.sin(9 * x + 1.3 * swim)
    bent = cv2.remap(
        image,
        bent_x.astype(np.float32),
        bent_y.astype(np.float32),
        cv2.INTER_CUBIC,
        borderMode=cv2.BORDER_REPLICATE,
    )
    return np.asarray(bent, dtype=np.float32)


MANIPULATIONS: dict[str, Manipulation] = {
    "blend": blend,
    "colour": colour,
    "flicker": flicker,
    "upsample": upsample,
    "warp": warp,
}


def _mask(image: Image, forgery: Forgery, t: int) -> Mask:
    pose = forgery.scene.poses[t]
    return inner_mask(image.shape, pose, forgery.target, extent=forgery.extent, seam=forgery.seam)


def _mean(image: Image, where: NDArray[np.bool_]) -> NDArray[np.float32]:
    weight = where.astype(np.float32)
    return np.asarray((image * weight).sum((0, 1)) / max(1.0, float(weight.sum())))
