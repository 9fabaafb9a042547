"""The plan of a preparation: arguments of `dfjax.prepare` and `dfjax data prepare`, sorted out."""

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from dfjax.data.faces.detectors import hash_detector
from dfjax.data.faces.settings import Settings, check_settings
from dfjax.data.index.adapters import AdapterFunction, find_adapter
from dfjax.errors import UsageError


@dataclasses.dataclass(frozen=True)
class Plan:
    """What decides the result of a preparation; see `make_plan`.

    Attributes:
        adapter: Name, import path or function of the adapter.
        options: Options of the adapter.
        default_split: Split of the videos that are in no official one; None assigns them.
        by: What stays together in the split, see `split_index`.
        ratios: Shares of train, val and test; None for the default.
        seed: Seed of the split; None for the default.
        settings: How faces are found and cut.
        recut: Whether faces are cut out of crops, too, where the data set comes as crops.
        flow_stride: Source frames from one frame of a flow to the other; None makes no flow.
    """

    adapter: str | AdapterFunction
    options: dict[str, Any]
    default_split: str | None
    by: str
    ratios: Sequence[float] | None
    seed: int | None
    settings: Settings
    recut: bool
    flow_stride: int | None


def make_plan(
    adapter: str | AdapterFunction,
    *,
    default_split: str | None = None,
    by: str = "complete",
    ratios: Sequence[float] | None = None,
    seed: int | None = None,
    frames: int | None = None,
    every: int | None = None,
    flow_stride: int | None = None,
    **options: Any,
) -> Plan:
    """Returns the plan of a preparation; an option that is None is not given.

    Args:
        adapter: Name, import path or function of the adapter.
        default_split: Split of the videos that are in no official one, such as `test`; None assigns
            them where train or val is missing.
        by: What stays together in the split: `identity`, `group` or `origin`; `official` keeps the
            data set's own split, and `complete` adds train and val to it where they are missing.
        ratios: Shares of train, val and test; default 0.8, 0.1, 0.1.
        seed: Seed of the split; default 0.
        frames: Number of frames per video, spread evenly, for configs with data.sampling=even.
        every: Distance of the frames taken instead; default 1, which fits any data.stride. That of
            the config takes less time and space.
        flow_stride: Source frames from one frame to the other of optical flow, as data.stride of
            the config; None makes no flow.
        **options: Fields of `Settings`, which say how faces are found and cut (`detector`,
            `detector_model`, `size`, `margin`, `align`, `faces`, `min_quality`), and options of the
            adapter (`dataset`, `fake_pattern`, `compression`, …).

    Raises:
        UsageError: no such adapter, or settings that no video can be extracted with.
    """
    given = {name: value for name, value in options.items() if value is not None}
    fields = {field.name for field in dataclasses.fields(Settings)}
    chosen = {name: given.pop(name) for name in fields & given.keys()}
    if frames is None and every is None:
        every = 1
    settings = Settings(**chosen, frames=frames, every=every)
    check_settings(settings)
    if flow_stride is not None and flow_stride < 1:
        raise UsageError(f"flow_stride must be positive, not {flow_stride}")
    takes = find_adapter(adapter)[1]
    if by == "complete":  # the adapter's own split comes first
        own = {"ratios": ratios, "seed": seed}
        given |= {name: value for name, value in own.items() if name in takes and value is not None}
    recut = "detector" in chosen
    return Plan(
        adapter, given, default_split, by, ratios, seed, settings, recut, flow_stride
    )  # fmt: skip


def describe_plan(plan: Plan, root: Path) -> dict[str, Any]:
    """Returns the arguments as JSON holds them, a model file by the hash of its content."""
    values = {field.name: getattr(plan, field.name) for field in dataclasses.fields(plan)}
    settings = dataclasses.asdict(plan.settings)
    if plan.settings.detector_model is not None:
        settings["detector_model"] = hash_detector("precomputed", plan.settings.detector_model)
    if not isinstance(plan.adapter, str):
        values["adapter"] = f"{plan.adapter.__module__}:{plan.adapter.__qualname__}"
    del values["settings"]
    return json.loads(json.dumps({"root": str(root.resolve()), **values, **settings}, default=str))
