"""Writes some videos of the data set as mp4 files with the whole scene, as inputs of `predict`."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path

from dfjax.data.faces.crops import FaceDetector
from dfjax.data.faces.detectors.haar import make_haar
from dfjax.data.faces.video import probe, read_frames
from dfjax.data.synthetic.plan import VideoPlan
from dfjax.data.synthetic.render import write_video

EVERY = 4  # step between the frames in which the face detector must find a face


def write_samples(out: Path, plans: list[VideoPlan], *, count: int, seed: int) -> list[Path]:
    """Writes `count` videos of the test split into `out/videos/`; returns their paths.

    Real and fake videos alternate, and the methods alternate among the fakes. A face detector made
    for photographs does not find every drawn face, so videos in which the default one misses it
    are left out. Existing files are kept.

    Args:
        out: Folder of the data set.
        plans: Plans of its videos.
        count: Number of videos to write.
        seed: Seed of the data set.
    """
    folder = out / "videos"
    there = sorted(folder.glob("*.mp4"))
    if len(there) >= count:
        return there[:count]
    detector, paths = make_haar(), []
    sides = [rank(plans, fake=False), rank(plans, fake=True)]
    for side in itertools.islice(itertools.cycle(sides), count):
        for plan in side:
            path = folder / f"{plan.video_id.split('/', 1)[1].replace('/', '_')}.mp4"
            write_video(path, plan, seed)
            if _is_seen(path, detector):
                paths.append(path)
                break
            path.unlink()
    return paths


def rank(plans: list[VideoPlan], *, fake: bool) -> Iterator[VideoPlan]:
    """Yields the real or the fake plans of the test split, alternating between methods."""
    test = [plan for plan in plans if plan.split == "test" and (plan.method != "real") == fake]
    methods = dict.fromkeys(plan.method for plan in test)
    turns = ([plan for plan in test if plan.method == method] for method in methods)
    for row in itertools.zip_longest(*turns):
        yield from (plan for plan in row if plan)


def _is_seen(path: Path, detector: FaceDetector) -> bool:
    frames = read_frames(path, range(0, probe(path).n_frames, EVERY))
    return all(len(detector(frame).boxes) for frame in frames)
