"""The plan of a preparation: the checked arguments of `dfjax.prepare` and `dfjax data prepare`."""

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from dfjax.data.faces.detectors import hash_detector
from dfjax.data.faces.settings import ExtractionSettings, check_settings
from dfjax.data.index.adapters import AdapterFunction, find_adapter
from dfjax.errors import UsageError


@dataclasses.dataclass(frozen=True)
class PreparePlan:
    """Arguments that determine the result of a preparation; see `make_plan`.

    Attributes:
        adapter: Name, import path or function of the adapter.
        options: Options of the adapter.
        default_split: Split of videos that are in no official split; None to assign them.
        by: Unit that is kept in one split; see `split_index`.
        ratios: Shares of train, val and test; None for the default.
        seed: Seed of the split; None for the default.
        settings: Settings of face detection and cropping.
        recut: Whether faces are also detected and cropped where the data set consists of crops.
        flow_stride: Distance in source frames between the frames of a flow; None for no flow.
    """

    adapter: str | AdapterFunction
    options: dict[str, Any]
    default_split: str | None
    by: str
    ratios: Sequence[float] | None
    seed: int | None
    settings: ExtractionSettings
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
) -> PreparePlan:
    """Returns the plan of a preparation; an option that is None has its default.

    Args:
        adapter: Name, import path or function of the adapter.
        default_split: Split of videos that are in no official split, such as `test`; None to assign
            them where train or val is missing.
        by: Unit that is kept in one split: `identity`, `group` or `origin`; `official` keeps the
            split of the data set, and `complete` adds train and val to it where they are missing.
        ratios: Shares of train, val and test; the default is 0.8, 0.1, 0.1.
        seed: Seed of the split; the default is 0.
        frames: Number of frames per video, spread evenly, for configs with data.sampling=even.
        every: Step between frames, in place of `frames`. The default, 1, is right for any
            data.stride; the data.stride of the config takes less time and space.
        flow_stride: Distance in source frames between the frames of a flow, equal to data.stride of
            the config; None for no flow.
        **options: Fields of `ExtractionSettings` for face detection and cropping (`detector`,
            `detector_model`, `size`, `margin`, `align`, `faces`, `min_quality`, `masks`), and
            options of the adapter (`dataset`, `fake_pattern`, `compression`, …).

    Raises:
        UsageError: The adapter is unknown, or the settings are invalid.
    """
    given = {name: value for name, value in options.items() if value is not None}
    fields = {field.name for field in dataclasses.fields(ExtractionSettings)}
    chosen = {name: given.pop(name) for name in fields & given.keys()}
    if frames is None and every is None:
        every = 1
    settings = ExtractionSettings(**chosen, frames=frames, every=every)
    check_settings(settings)
    if flow_stride is not None and flow_stride < 1:
        raise UsageError(f"flow_stride must be positive, not {flow_stride}")
    takes = find_adapter(adapter)[1]
    if by == "complete":  # the adapter may split too, by the same ratios and seed
        own = {"ratios": ratios, "seed": seed}
        given |= {name: value for name, value in own.items() if name in takes and value is not None}
    recut = "detector" in chosen
    return PreparePlan(
        adapter, given, default_split, by, ratios, seed, settings, recut, flow_stride
    )  # fmt: skip


def describe_plan(plan: PreparePlan, root: Path) -> dict[str, Any]:
    """Returns the arguments as a JSON object, with a model file replaced by its hash."""
    values = {field.name: getattr(plan, field.name) for field in dataclasses.fields(plan)}
    settings = dataclasses.asdict(plan.settings)
    if plan.settings.detector_model is not None:
        settings["detector_model"] = hash_detector(
            plan.settings.detector, plan.settings.detector_model
        )
    if not isinstance(plan.adapter, str):
        values["adapter"] = f"{plan.adapter.__module__}:{plan.adapter.__qualname__}"
    del values["settings"]
    return json.loads(json.dumps({"root": str(root.resolve()), **values, **settings}, default=str))
