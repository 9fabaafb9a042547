"""Draws random identities: the parameters that all videos of one person share."""

from __future__ import annotations

import colorsys
import dataclasses
import zlib

import numpy as np
from numpy.typing import NDArray

Colour = NDArray[np.float64]

# Ramps of skin and hair colours (RGB). A person's colour is interpolated between two neighbours.
_SKIN = np.array(
    [[246, 216, 193], [236, 190, 156], [214, 161, 122], [178, 124, 88], [134, 90, 62], [96, 62, 45]]
)
_HAIR = np.array([[28, 24, 26], [64, 42, 30], [112, 70, 40], [176, 128, 72], [214, 184, 128]])
_EYES = np.array([[72, 46, 28], [96, 120, 70], [74, 110, 148], [90, 96, 100]])
HAIR_STYLES = ("bald", "short", "fringe", "parted", "long")


@dataclasses.dataclass(frozen=True)
class Identity:
    """Appearance of one person, in head units: the head's half height is 1, and y points down."""

    name: str
    skin: Colour
    hair: Colour
    iris: Colour
    lips: Colour
    shirt: Colour
    hair_style: str
    hairline: float
    half_width: float
    taper: float  # relative narrowing from the temples to the jaw
    eye_gap: float
    eye_y: float
    eye_size: float
    eye_tilt: float
    brow_lift: float
    brow_width: float
    nose_length: float
    nose_width: float
    mouth_y: float
    mouth_width: float
    lip: float
    ear: float
    beard: float  # opacity from 0 (none) to 1 (full)
    glasses: bool
    blush: float
    freckles: NDArray[np.float64]  # [N, 2] positions


def make_generator(seed: int, *names: str) -> np.random.Generator:
    """Returns the random generator of a named object, independent of workers and of call order.

    Args:
        seed: Seed of the data set.
        names: Names that together identify the object, such as "identity", "003".
    """
    return np.random.default_rng([seed, *(zlib.crc32(name.encode()) for name in names)])


def make_identity(seed: int, name: str) -> Identity:
    """Returns the identity called `name` of the data set with this seed."""
    rng = make_generator(seed, "identity", name)
    skin = _along(_SKIN, rng)
    u = rng.uniform
    return Identity(
        name=name,
        skin=skin,
        hair=_along(_HAIR, rng),
        iris=_EYES[rng.integers(len(_EYES))] * u(0.8, 1.2),
        lips=skin * [0.86, 0.60, 0.58] * u(0.85, 1.1) + [18, 0, 4],
        shirt=255 * np.array(colorsys.hsv_to_rgb(u(), u(0.2, 0.7), u(0.3, 0.9))),
        hair_style=HAIR_STYLES[rng.choice(len(HAIR_STYLES), p=[0.08, 0.27, 0.22, 0.21, 0.22])],
        hairline=u(-0.66, -0.5),
        half_width=u(0.68, 0.84),
        taper=u(0.12, 0.36),
        eye_gap=u(0.28, 0.36),
        eye_y=u(-0.16, -0.06),
        eye_size=u(0.12, 0.17),
        eye_tilt=u(-0.025, 0.025),
        brow_lift=u(0.16, 0.23),
        brow_width=u(0.035, 0.075),
        nose_length=u(0.30, 0.42),
        nose_width=u(0.10, 0.17),
        mouth_y=u(0.48, 0.58),
        mouth_width=u(0.22, 0.33),
        lip=u(0.045, 0.085),
        ear=u(0.13, 0.2),
        beard=u(0.4, 0.9) if rng.random() < 0.22 else 0.0,
        glasses=bool(rng.random() < 0.2),
        blush=u(0.0, 0.12),
        freckles=rng.uniform(
            [-0.5, 0.0], [0.5, 0.4], (rng.choice([0, 1, 9], p=[0.5, 0.3, 0.2]), 2)
        ),
    )


def _along(ramp: NDArray[np.int64], rng: np.random.Generator) -> Colour:
    at = rng.uniform(0, len(ramp) - 1)
    low = min(int(at), len(ramp) - 2)
    colour = ramp[low] + (at - low) * (ramp[low + 1] - ramp[low])
    return colour * rng.uniform(0.95, 1.05, 3)
