"""One planned video as pictures: face crops for training, or whole scenes for `predict`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from dfjax.data.synthetic.face import draw
from dfjax.data.synthetic.identity import make_generator, make_identity
from dfjax.data.synthetic.manipulations import MANIPULATIONS, make_forgery, wear_makeup
from dfjax.data.synthetic.plan import VideoPlan
from dfjax.data.synthetic.scene import make_scene, shoot
from dfjax.files import atomic_path

FPS = 25
OVERSAMPLING = 2  # drawn larger than stored, for clean edges
HEAD = 0.44  # half height of the head against a crop's side


class Canvas(NamedTuple):
    """The size of a video, and that of the square in it which is the face crop."""

    size: tuple[int, int]  # width, height, px
    crop: int  # px


def render(
    plan: VideoPlan, seed: int, *, frames: int, canvas: Canvas
) -> tuple[Iterator[NDArray[np.uint8]], int]:
    """Returns the frames of a video, u8[H, W, 3] RGB, and the JPEG quality of its camera.

    Args:
        plan: which video.
        seed: of the data set; the same seed and plan give the same pixels.
        frames: how many.
        canvas: how large.
    """
    drawn = OVERSAMPLING * canvas.size[0], OVERSAMPLING * canvas.size[1]
    target = make_identity(seed, plan.target)
    scene = make_scene(seed, plan.recording, frames, drawn, HEAD * OVERSAMPLING * canvas.crop)
    rng = make_generator(seed, "video", plan.video_id)
    forge = MANIPULATIONS.get(plan.method)
    forgery = make_forgery(rng, target, make_identity(seed, plan.donor), scene)

    def shots() -> Iterator[NDArray[np.uint8]]:
        for t in range(frames):
            image = wear_makeup(draw(target, scene, t), target, scene, t)
            if forge:
                image = forge(image, forgery, t)
            yield shoot(image, scene.camera, t, canvas.size, rng)

    return shots(), scene.camera.quality


def write_video(path: Path, plan: VideoPlan, seed: int, *, frames: int = 24) -> None:
    """Writes a video of the plan's person in a scene, 384×288 H.264, atomically.

    The face is as large against its pixels as in the crops of 64 px, so that a detector trained on
    those can be tried on it.
    """
    shots, _ = render(plan, seed, frames=frames, canvas=Canvas((192, 144), 64))
    with atomic_path(path) as partial, av.open(str(partial), "w") as container:
        stream = container.add_stream("libx264", rate=FPS, options={"crf": "16"})
        stream.width, stream.height, stream.pix_fmt = 384, 288, "yuv420p"
        for shot in shots:
            large = cv2.resize(shot, (384, 288), interpolation=cv2.INTER_CUBIC)
            frame = av.VideoFrame.from_ndarray(large.astype(np.uint8), format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
