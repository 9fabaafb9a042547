"""Writes some videos of the data set as mp4 files with the whole scene, as inputs of `predict`."""

from __future__ import annotations

import dataclasses
import itertools
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from dfjax.data.faces.crops import FaceDetector
from dfjax.data.faces.detectors.haar import make_haar
from dfjax.data.faces.video import probe, read_frames
from dfjax.data.store.pack import pack
from dfjax.data.synthetic.dataset import generate
from dfjax.data.synthetic.plan import VideoPlan, make_plan
from dfjax.data.synthetic.render import write_mask_video, write_video
from dfjax.errors import UsageError
from dfjax.outputs import check_folder
from dfjax.results import Result

EVERY = 4  # step between the frames in which the face detector must find a face


@dataclasses.dataclass(frozen=True)
class SynthReport(Result):
    """What a synthetic data set holds.

    Attributes:
        index: Its index.
        videos: Number of its videos.
        drawn: How many of them were drawn now; the others were there already.
        samples: Videos of the whole scene, as mp4.
        pack: Its pack, for `data.path`; None if none was asked for.
    """

    index: Path
    videos: int
    drawn: int
    samples: list[Path]
    pack: Path | None = None

    def describe(self) -> list[str]:
        """Returns lines that count the videos and name those that are mp4 files."""
        kept = self.videos - self.drawn
        reused = f", {kept} of them reused" if kept else ""
        found = f"{self.videos} videos in {self.index}{reused}"
        return [found, *(f"video {sample}" for sample in self.samples)]

    def to_json(self) -> dict[str, Any]:
        """Returns the counts as `dfjax data synth --json` prints them."""
        counts = {"videos": self.videos, "drawn": self.drawn, "reused": self.videos - self.drawn}
        samples = [str(sample) for sample in self.samples]
        return {"index": str(self.index)} | counts | {"samples": samples}


def synthesise(
    out: str | os.PathLike[str],
    *,
    videos: int = 1000,
    identities: int = 100,
    frames: int = 12,
    size: int = 64,
    seed: int = 0,
    workers: int = 0,
    samples: int = 0,
    packed: bool = False,
    masks: bool = False,
    command: str = "dfjax data synth",
) -> SynthReport:
    """Makes the synthetic data set in a folder, and some of its videos as mp4 files.

    Args:
        out: Folder to write.
        videos: Number of videos, half real and half fake.
        identities: Number of people, even.
        frames: Number of frames per video.
        size: Side of a face crop in pixels.
        seed: Seed of everything drawn.
        workers: Number of processes; 0 takes the number of cores.
        samples: Number of videos of the test split to write as mp4 too.
        packed: Whether the set is also packed for training, in `out/pack`.
        masks: Whether the masks of fakes are written and packed too, for `loss.mask`.
        command: Origin to record in the metadata of the index.

    Raises:
        UsageError: A number is out of range, or `out` holds a set made with other settings.
    """
    if samples < 0:
        raise UsageError(f"samples must not be negative, not {samples}")
    if samples:
        for name in ("videos", "masks"):
            check_folder(Path(out, name), inputs=(), owner=Path(out, "synthetic.json"))
    index, drawn = generate(
        out, videos=videos, identities=identities, frames=frames, size=size, seed=seed,
        workers=workers, masks=masks, command=command,
    )  # fmt: skip
    plans = make_plan(videos, identities, seed)
    written = write_samples(Path(out), plans, count=samples, seed=seed)
    folder = pack(index, Path(out, "pack"), replace=True).out if packed else None
    return SynthReport(index, videos, drawn, written, folder)


def write_samples(out: Path, plans: list[VideoPlan], *, count: int, seed: int) -> list[Path]:
    """Writes `count` videos of the test split into `out/videos/`; returns their paths.

    Where the fakes are manipulated is written into `out/masks/`, under the same names.

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
                if plan.method != "real":
                    write_mask_video(out / "masks" / path.name, plan, seed)
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
