"""A few videos of the set as mp4 files with the whole scene, to try `dfjax predict` on."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path

from dfjax.data.faces.crops import FaceDetector
from dfjax.data.faces.detectors.haar import make_haar
from dfjax.data.faces.video import probe, read_frames
from dfjax.data.synthetic.plan import VideoPlan
from dfjax.data.synthetic.render import write_video

EVERY = 4  # frames between those in which the face has to be seen


def write_samples(out: Path, plans: list[VideoPlan], *, count: int, seed: int) -> list[Path]:
    """Writes `count` videos of the test split into `out/videos/`; returns their paths.

    Real and fake alternate, the methods take turns. Drawn faces are not all faces to a detector
    that was made for photographs: a video whose face the default one does not find is left out.
    Samples that are there already are kept.
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
    """Yields the real or the fake plans of the test split, the methods in turn."""
    test = [plan for plan in plans if plan.split == "test" and (plan.method != "real") == fake]
    methods = dict.fromkeys(plan.method for plan in test)
    turns = ([plan for plan in test if plan.method == method] for method in methods)
    for row in itertools.zip_longest(*turns):
        yield from (plan for plan in row if plan)


def _is_seen(path: Path, detector: FaceDetector) -> bool:
    frames = read_frames(path, range(0, probe(path).n_frames, EVERY))
    return all(len(detector(frame).boxes) for frame in frames)
