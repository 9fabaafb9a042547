"""Renders planned videos: face crops for training, or mp4 files of the whole scene."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from dfjax.data.synthetic.face import draw
from dfjax.data.synthetic.identity import Identity, make_generator, make_identity
from dfjax.data.synthetic.manipulations import (
    MANIPULATIONS,
    Forgery,
    inner_mask,
    make_forgery,
    wear_makeup,
)
from dfjax.data.synthetic.plan import VideoPlan
from dfjax.data.synthetic.scene import Scene, make_scene, shoot
from dfjax.files import atomic_path

FPS = 25
OVERSAMPLING = 2  # ratio of drawn to stored size, for smooth edges
HEAD = 0.44  # half height of the head relative to a crop's side


class Canvas(NamedTuple):
    """Size of a video, and of the square face crop in it."""

    size: tuple[int, int]  # width, height, px
    crop: int  # px


SCENE = Canvas((192, 144), 64)
"""Size of the mp4 files before they are enlarged."""


def render(
    plan: VideoPlan, seed: int, *, frames: int, canvas: Canvas
) -> tuple[Iterator[NDArray[np.uint8]], int]:
    """Returns an iterator over the frames of a video, and the JPEG quality of its camera.

    The frames are u8[H, W, 3] in RGB. The same arguments give the same pixels.

    Args:
        plan: Video to render.
        seed: Seed of the data set.
        frames: Number of frames.
        canvas: Size of the frames and of the face in them.
    """
    target, scene, rng, forgery = _stage(plan, seed, frames, canvas)
    forge = MANIPULATIONS.get(plan.method)

    def shots() -> Iterator[NDArray[np.uint8]]:
        for t in range(frames):
            image = wear_makeup(draw(target, scene, t), target, scene, t)
            if forge:
                image = forge(image, forgery, t)
            yield shoot(image, scene.camera, t, canvas.size, rng)

    return shots(), scene.camera.quality


def _drawn_size(canvas: Canvas) -> tuple[int, int]:
    return OVERSAMPLING * canvas.size[0], OVERSAMPLING * canvas.size[1]


def _stage(
    plan: VideoPlan, seed: int, frames: int, canvas: Canvas
) -> tuple[Identity, Scene, np.random.Generator, Forgery]:
    """Returns what a video is drawn from, with the generator of what its camera adds."""
    target = make_identity(seed, plan.target)
    head = HEAD * OVERSAMPLING * canvas.crop
    scene = make_scene(seed, plan.recording, frames, _drawn_size(canvas), head)
    rng = make_generator(seed, "video", plan.video_id)
    return target, scene, rng, make_forgery(rng, target, make_identity(seed, plan.donor), scene)


def render_masks(
    plan: VideoPlan, seed: int, *, frames: int, canvas: Canvas
) -> Iterator[NDArray[np.uint8]]:
    """Yields where `render` manipulates each frame, u8[H, W]: 255 in the mask, 0 elsewhere.

    The mask of a frame whose artefacts are not visible is empty, as are those of a real video.

    Args:
        plan: Video.
        seed: Seed of the data set.
        frames: Number of frames.
        canvas: Size of the frames and of the face in them.
    """
    target, scene, _, forgery = _stage(plan, seed, frames, canvas)
    size = _drawn_size(canvas)[::-1]
    for t, pose in enumerate(scene.poses):
        seen = plan.method in MANIPULATIONS and forgery.visible[t] > 0
        mask = inner_mask(size, pose, target, extent=forgery.extent, seam=forgery.seam)
        small = cv2.resize(mask[:, :, 0], canvas.size, interpolation=cv2.INTER_AREA)
        yield np.where((small >= 0.5) & seen, 255, 0).astype(np.uint8)


def write_video(path: Path, plan: VideoPlan, seed: int, *, frames: int = 24) -> None:
    """Writes a planned video with its whole scene as 384×288 H.264, atomically.

    It is rendered with face crops of 64 px and then enlarged by 2, so that a detector trained on
    crops of 64 px can be applied to it.

    Args:
        path: File to write.
        plan: Video to render.
        seed: Seed of the data set.
        frames: Number of frames.
    """
    _write_film(path, render(plan, seed, frames=frames, canvas=SCENE)[0])


def write_mask_video(path: Path, plan: VideoPlan, seed: int, *, frames: int = 24) -> None:
    """Writes where `write_video` manipulates the frames, bright on black, atomically.

    Args:
        path: File to write.
        plan: Video.
        seed: Seed of the data set.
        frames: Number of frames.
    """
    masks = render_masks(plan, seed, frames=frames, canvas=SCENE)
    _write_film(path, (np.repeat(mask[..., None], 3, -1) for mask in masks))


def _write_film(path: Path, shots: Iterator[NDArray[np.uint8]]) -> None:
    with atomic_path(path) as partial, av.open(os.path.abspath(partial), "w") as container:
        stream = container.add_stream("libx264", rate=FPS, options={"crf": "16"})
        stream.width, stream.height, stream.pix_fmt = 384, 288, "yuv420p"
        for shot in shots:
            large = cv2.resize(shot, (384, 288), interpolation=cv2.INTER_CUBIC)
            frame = av.VideoFrame.from_ndarray(large.astype(np.uint8), format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
