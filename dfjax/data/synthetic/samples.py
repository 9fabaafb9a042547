"""A few videos of the set as mp4 files with the whole scene, to try `dfjax predict` on."""

from __future__ import annotations

from pathlib import Path

from dfjax.data.synthetic.plan import VideoPlan
from dfjax.data.synthetic.render import write_video


def write_samples(out: Path, plans: list[VideoPlan], *, count: int, seed: int) -> list[Path]:
    """Writes `count` videos of the test split into `out/videos/`; returns their paths.

    Real and fake alternate, the methods take turns. Files that are there already are kept.
    """
    paths = []
    for plan in choose_samples(plans, count):
        path = out / "videos" / f"{plan.video_id.split('/', 1)[1].replace('/', '_')}.mp4"
        if not path.is_file():
            write_video(path, plan, seed)
        paths.append(path)
    return paths


def choose_samples(plans: list[VideoPlan], count: int) -> list[VideoPlan]:
    """Returns `count` plans of the test split: real and fake in turn."""
    test = [plan for plan in plans if plan.split == "test"]
    reals = [plan for plan in test if plan.method == "real"]
    turn: dict[str, int] = {}
    ranked = []
    for plan in test:
        if plan.method != "real":
            ranked.append((turn.setdefault(plan.method, 0), plan.method, plan))
            turn[plan.method] += 1
    fakes = [plan for _, _, plan in sorted(ranked, key=lambda item: item[:2])]
    return [plan for pair in zip(reals, fakes) for plan in pair][:count]
