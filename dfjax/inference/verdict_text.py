"""Verdicts as text, for the processes of a run that divide the inputs."""

import dataclasses
import json
from typing import Any

import numpy as np

from dfjax.inference.media import ClipOrigin, Sightings
from dfjax.inference.verdict import Verdict


def write_verdict(verdict: Verdict) -> str:
    """Returns a verdict as JSON, without the frames that were kept for a figure."""
    fields = dataclasses.asdict(verdict.without_pictures())
    return json.dumps(fields, default=lambda value: value.tolist())


def read_verdict(text: str) -> Verdict:
    """Returns the verdict that `write_verdict` wrote."""
    fields = json.loads(text)
    scores = {name: np.array(values) for name, values in fields.pop("clip_scores").items()}
    return Verdict(**fields | {"clip_scores": scores, "origin": _read_origin(fields["origin"])})


def _read_origin(fields: dict[str, Any] | None) -> ClipOrigin | None:
    if fields is None:
        return None
    boxes = fields.pop("sightings")
    sightings = Sightings(
        numbers=np.array(boxes["numbers"], np.int32),
        boxes=np.array(boxes["boxes"], np.float32).reshape(-1, 4),
        found=np.array(boxes["found"], bool),
    )
    mask, position = np.array(fields.pop("mask"), bool), np.array(fields.pop("position"), np.int32)
    return ClipOrigin(mask=mask, position=position, sightings=sightings, **fields)
