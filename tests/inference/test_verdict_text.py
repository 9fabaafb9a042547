"""Tests that a verdict is the same after it went to another process as text."""

import dataclasses

import numpy as np

from dfjax.inference.media import ClipOrigin, Sightings
from dfjax.inference.verdict import Verdict
from dfjax.inference.verdict_text import read_verdict, write_verdict


def test_a_verdict_is_the_same_after_writing_and_reading():
    origin = ClipOrigin(
        mask=np.array([[True, False]]),
        position=np.array([[4, -1]], np.int32),
        frames_used=1,
        faces_missed=0,
        sha256="a" * 64,
        sightings=Sightings(
            np.array([4], np.int32), np.full((1, 4), np.nan, np.float32), np.array([False])
        ),
        measures={"sharpness": 2.5},
    )
    verdict = Verdict(
        "a.mp4", "ok", np.float64(0.25), 0.75, "real", 1, 0, 1.0,
        scores={"entropy": 0.1}, clip_scores={"fake_prob": np.array([0.25])}, origin=origin,
        guarantee={"holds": True},
    )  # fmt: skip
    read = read_verdict(write_verdict(verdict))
    np.testing.assert_equal(dataclasses.asdict(read), dataclasses.asdict(verdict))
    failed = Verdict("b.mp4", "error", error="empty file")
    assert dataclasses.asdict(read_verdict(write_verdict(failed))) == dataclasses.asdict(failed)
