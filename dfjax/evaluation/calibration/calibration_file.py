"""The file `calibration.json` of a workdir: what was fitted to the validation videos.

It holds the map, the scores and labels of the videos, from which verdicts at any error rates
follow, and the properties of their inputs, from which drift is told.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Int

import dfjax
from dfjax.errors import FileError, UsageError
from dfjax.evaluation.calibration.conformal import Conformal, Rates
from dfjax.evaluation.calibration.maps import FITS, CalibrationMap
from dfjax.files import hash_file, read_hashed_json, write_hashed_json

CALIBRATION = "calibration.json"
FORMAT = 1
REMEDY = "run `dfjax calibrate` again, or remove it"
MOST_BYTES = 2**28

SCHEMA = {
    "dfjax_calibration": int,
    "checkpoint": str,
    "checkpoint_sha256": str,
    "scoring": {"draws": str, "clips": int},
    "data": {"path": str, "split": str, "index_sha256": str},
    "map": {"kind": str, "x": [float], "y": [float]},
    "rates": {"false_alarm": float, "miss": float},
    "videos": {"video_id": [str], "label": [int], "fake_prob": [float], "group": [int]},
    "inputs": {str: [(float, None)]},
    "choice": [{"kind": str, "log_loss": float, "log_loss_ci": [float]}],
    "reliability": {"before": object, "after": object},
    "notes": [str],
}


@dataclass(frozen=True, eq=False)
class Calibration:
    """A calibration of one checkpoint.

    Attributes:
        checkpoint: Name of the checkpoint, for example `best/1200`.
        checkpoint_sha256: Hash of the checkpoint's files.
        scoring: How scores were made: `draws` describes dropout passes and mirror images (empty
            for none), `clips` is the number of clips of a video.
        data: `path` of the data, its `split` and `index_sha256`.
        map: Map of P(fake) to a calibrated probability.
        rates: Error rates of verdicts where none are asked for.
        video_id: Id of each calibration video.
        label: Label of each video.
        fake_prob: P(fake) of each video.
        group: Number of the group of each video.
        inputs: Properties of the input by name, with NaN where they are not known.
        choice: Rows of `Choice`.
        reliability: `before` and `after` the map, as `measure_reliability` returns them; the latter
            by cross-validation.
        notes: Sentences about what the guarantee depends on.
        sha256: Hash of the file; empty before it is written.
    """

    checkpoint: str
    checkpoint_sha256: str
    scoring: Mapping[str, Any]
    data: Mapping[str, str]
    map: CalibrationMap
    rates: Rates
    video_id: list[str]
    label: Int[np.ndarray, "N"]
    fake_prob: Float[np.ndarray, "N"]
    group: Int[np.ndarray, "N"]
    inputs: Mapping[str, Float[np.ndarray, "N"]] = field(default_factory=dict)
    choice: list[dict[str, Any]] = field(default_factory=list)
    reliability: Mapping[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    sha256: str = ""

    @functools.cached_property
    def conformal(self) -> Conformal:
        """Scores by class, from which verdicts follow."""
        return Conformal(self.fake_prob, self.label, self.group)


def check_rates(rates: Rates) -> Rates:
    """Returns error rates after checking them.

    Raises:
        UsageError: One is not above 0 and at most 0.5.
    """
    for name, rate in rates._asdict().items():
        if not 0 < rate <= 0.5:
            raise UsageError(f"the {name.replace('_', '-')} rate must be in (0, 0.5], not {rate}")
    return rates


def write_calibration(calibration: Calibration, path: Path) -> None:
    """Writes a calibration atomically."""
    table = {
        "video_id": calibration.video_id,
        "label": calibration.label.tolist(),
        "fake_prob": calibration.fake_prob.tolist(),
        "group": calibration.group.tolist(),
    }
    value = {
        "dfjax_calibration": FORMAT,
        "version": dfjax.__version__,
        "checkpoint": calibration.checkpoint,
        "checkpoint_sha256": calibration.checkpoint_sha256,
        "scoring": dict(calibration.scoring),
        "data": dict(calibration.data),
        "map": calibration.map._asdict(),
        "rates": calibration.rates._asdict(),
        "groups": calibration.conformal.groups,
        "choice": calibration.choice,
        "reliability": dict(calibration.reliability),
        "notes": list(calibration.notes),
        "inputs": {name: values.tolist() for name, values in calibration.inputs.items()},
        "videos": table,
    }
    write_hashed_json(path, value)


def read_calibration(path: Path) -> Calibration:
    """Returns the calibration in a file.

    Raises:
        FileError: The file cannot be read, is damaged, was changed since it was written, or has
            values that no calibration has.
    """
    if path.is_file() and path.stat().st_size > MOST_BYTES:
        raise FileError(f"{path} is too large for a calibration; {REMEDY}")
    value = read_hashed_json(path, SCHEMA, remedy=REMEDY)
    try:
        return _build(value, hash_file(path))
    except (ValueError, UsageError) as error:
        raise FileError(f"{path} is damaged: {error}; {REMEDY}") from error


def _build(value: dict[str, Any], sha256: str) -> Calibration:
    if value["dfjax_calibration"] != FORMAT:
        raise ValueError(f"its format is {value['dfjax_calibration']}, and {FORMAT} is known")
    videos = value["videos"]
    count = len(videos["label"])
    inputs = {
        name: np.array([np.nan if x is None else x for x in values], np.float64)
        for name, values in value["inputs"].items()
    }
    lengths = {len(column) for column in (*videos.values(), *inputs.values())}
    if lengths != {count} or not count:
        raise ValueError("its lists of videos differ in length or are empty")
    label, probs = np.array(videos["label"]), np.array(videos["fake_prob"], np.float64)
    if not np.isin(label, (0, 1)).all() or len(np.unique(label)) < 2:
        raise ValueError("its labels are not 0 and 1")
    if not ((probs >= 0) & (probs <= 1)).all():
        raise ValueError("a fake_prob is not in [0, 1]")
    return Calibration(
        checkpoint=value["checkpoint"],
        checkpoint_sha256=value["checkpoint_sha256"],
        scoring=value["scoring"],
        data=value["data"],
        map=_build_map(value["map"]),
        rates=check_rates(Rates(value["rates"]["false_alarm"], value["rates"]["miss"])),
        video_id=videos["video_id"],
        label=label,
        fake_prob=probs,
        group=np.array(videos["group"]),
        inputs=inputs,
        choice=value["choice"],
        reliability=value["reliability"],
        notes=tuple(value["notes"]),
        sha256=sha256,
    )


def _build_map(value: dict[str, Any]) -> CalibrationMap:
    kind, x, y = value["kind"], np.array(value["x"]), np.array(value["y"])
    sizes = {"none": (0, 0), "temperature": (1, 0), "platt": (1, 1), "isotonic": (len(x), len(x))}
    if kind not in FITS or (len(x), len(y)) != sizes[kind] or (kind == "isotonic" and not len(x)):
        raise ValueError(f"its map {kind!r:.20} has {len(x)} and {len(y)} values")
    if not (np.isfinite(x).all() and np.isfinite(y).all()):
        raise ValueError("its map has values that are not finite")
    if kind in ("temperature", "platt") and x[0] <= 0:
        raise ValueError(f"its {kind} is {x[0]:g}, which does not ascend")
    if kind == "isotonic" and not _ascends_in_range(x, y):
        raise ValueError("its isotonic map does not ascend within [0, 1]")
    return CalibrationMap(kind, tuple(map(float, x)), tuple(map(float, y)))


def _ascends_in_range(x: np.ndarray, y: np.ndarray) -> bool:
    inside = all(0 <= value <= 1 for value in (*x, *y))
    return inside and bool((np.diff(x) > 0).all() and (np.diff(y) >= 0).all())
