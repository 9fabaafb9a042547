"""What a forger does to the inner face of a recording, one function per family.

Each takes the honest picture of a frame and returns the forged one. How much of the forgery
shows is `visible`, from 0 to 1 per frame: a swap that is well matched in one frame fails in
another, which is why a detector that sees many frames knows more than one that sees one.
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
    """Everything random of one forged video."""

    target: Identity
    donor: Identity
    scene: Scene
    visible: Frames
    jitter: NDArray[np.float64]  # [T, 4], standard normal, independent from frame to frame
    gain: NDArray[np.float64]  # [3], colour mismatch at full visibility
    light: NDArray[np.float64]  # [2], light of the pasted face at full visibility
    cell: int  # px of the up-sampling grid
    phase: float
    loss: float  # how much detail the generator loses
    extent: float  # size of the pasted region against the inner face
    seam: float  # width of its soft edge


Manipulation = Callable[[Image, Forgery, int], Image]


def make_forgery(
    rng: np.random.Generator, target: Identity, donor: Identity, scene: Scene
) -> Forgery:
    """Returns a forgery of `scene`: its faults show in one stretch of about half the video."""
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
    """Returns how much of the faults shows per frame: near 1 in one stretch, faint elsewhere."""
    length = max(1.0, rng.uniform(0.5, 0.8) * frames)
    middle = rng.uniform(0.3, 0.7) * (frames - 1)
    distance = np.abs(np.arange(frames) - middle) - length / 2
    return np.clip(0.5 - distance / 2, 0.0, 1.0) * rng.uniform(0.9, 1.0)


def inner_mask(
    shape: tuple[int, ...], pose: Pose, person: Identity, *, extent: float, seam: float
) -> Mask:
    """Returns the region that forgers replace, brows to chin, with its soft edge."""
    x, y = local_grid(shape, pose, person.half_width)
    x = (x - 0.55 * np.sin(pose.yaw)) / 0.70
    y = (y - 0.16 - 0.55 * np.sin(pose.pitch)) / 0.62
    radius = np.sqrt(x**2 + y**2) / extent
    return np.clip(0.5 + (1 - radius) / (2 * seam), 0, 1).astype(np.float32)[:, :, None]


def wear_makeup(image: Image, person: Identity, scene: Scene, t: int) -> Image:
    """Tints and smooths the inner face, the same in every frame, as make-up and phones do.

    Real and fake videos alike: neither a static tint nor lost detail tells the classes apart.
    """
    mask = inner_mask(image.shape, scene.poses[t], person, extent=0.97, seam=0.11)
    smooth = cv2.GaussianBlur(image, (0, 0), 0.04 * scene.poses[t].scale)
    worn: Image = image + np.float32(scene.smoothing) * np.asarray(smooth - image, np.float32)
    return image + mask * (worn * scene.makeup.astype(np.float32) - image)


def blend(image: Image, forgery: Forgery, t: int) -> Image:
    """Pastes the donor's inner face, its colour matched except where the match fails."""
    mask = _mask(image, forgery, t)
    donor = wear_makeup(draw(forgery.donor, forgery.scene, t), forgery.target, forgery.scene, t)
    pasted = _generate(donor, forgery, 0.8 * forgery.visible[t])
    core = mask > 0.5
    matched = _mean(image, core) / np.maximum(_mean(pasted, core), 1)
    fault = 1 + forgery.visible[t] * (forgery.gain - 1)
    return image + mask * (pasted * (matched * fault).astype(np.float32) - image)


def colour(image: Image, forgery: Forgery, t: int) -> Image:
    """Changes colour and direction of light of the inner face against the rest of the head."""
    mask = _mask(image, forgery, t)
    lit = _generate(image, forgery, 0.8 * forgery.visible[t])
    change = (forgery.light - forgery.scene.light[t]) * forgery.visible[t]
    shade(lit, forgery.scene.poses[t], forgery.target, change, rim=0.0)
    gain = 1 + 0.8 * forgery.visible[t] * (forgery.gain - 1)
    return image + mask * (lit * gain.astype(np.float32) - image)


def flicker(image: Image, forgery: Forgery, t: int) -> Image:
    """Lets brightness and place of the inner face jump from frame to frame."""
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
    """Makes the inner face at low resolution and enlarges it: blur and a grid of spots."""
    mask = _mask(image, forgery, t)
    return image + mask * (_generate(image, forgery, forgery.visible[t]) - image)


def _generate(image: Image, forgery: Forgery, amount: float) -> Image:
    """Returns the picture as a generator makes it: enlarged, with the grid that this leaves.

    Every family but `warp`, which generates nothing, goes through it; how far is `amount`.
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
    """Bends the inner face with waves that swim over it, as a generator that drifts does."""
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
