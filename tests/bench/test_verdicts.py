"""The time from a video to its verdict, with injected times and with a small detector."""

import types

import jax
import numpy as np
import pytest
from ml_collections import ConfigDict

from dfjax.bench import verdicts
from dfjax.bench.verdicts import draw_parameters, measure_predict
from dfjax.errors import UsageError
from dfjax.inference.detector import Detector

SIZES = {"frames": 2, "size": 32, "dtype": "float32", "lowering": "auto"}


class Stub(Detector):
    """A stand-in for a detector: its calls take 1, 2, 3 ... s."""

    def __init__(self):
        self.calls, self.clock = [], 0.0
        data, preprocess = {"frames": 8}, {"size": 64}
        named = {"name": "stub", "precision": "float32"}
        self.config = ConfigDict({**named, "data": data, "preprocess": preprocess})

    def __call__(self, x, **options):
        names = [path.name for path in x]
        self.calls.append(names)
        self.clock += len(self.calls)
        errors = ["no picture" if name.startswith("bad") else None for name in names]
        return [types.SimpleNamespace(error=error) for error in errors]


@pytest.fixture
def stub(monkeypatch):
    detector = Stub()
    monkeypatch.setattr(verdicts, "load", lambda source: detector)
    clock = types.SimpleNamespace(perf_counter=lambda: detector.clock)
    monkeypatch.setattr(verdicts, "time", clock)
    return detector


def test_percentiles_are_of_single_videos_and_the_rate_is_of_all(stub, tmp_path, capsys):
    for name in ("a.png", "b.png", "bad.png"):
        (tmp_path / name).touch()
    files = sorted(tmp_path.glob("*.png"))
    row = measure_predict(files, detector="runs/first", **SIZES, steps=2)
    both = [["a.png"], ["b.png"], ["a.png", "b.png"]]
    assert stub.calls == [["a.png"], ["a.png", "b.png", "bad.png"], *both, *both]
    assert (row["videos"], row["verdicts"], row["drawn"]) == (2, 4, False)
    assert (row["config"], row["frames"], row["size"]) == ("stub", 8, 64)
    singles = [3.0, 4.0, 6.0, 7.0]  # the calls 5 and 8 are those of both
    assert row["first_s"] == 1.0 and row["p50_s"] == 5.0
    assert row["p95_s"] == pytest.approx(np.percentile(singles, 95))
    assert row["videos_per_s"] == pytest.approx(2 / 6.5)
    assert row["peak_bytes"] > 10**8
    assert "bad.png is left out: no picture" in capsys.readouterr().err
    text = verdicts.describe_prediction(row)
    assert text.startswith("predict with runs/first, 2 videos: 5.00 s a video (p95 6.85 s")
    with pytest.raises(UsageError, match="no video has a verdict"):
        measure_predict(files[2:], detector="runs/first", **SIZES, steps=1)


def test_random_parameters_have_the_shapes_and_a_variance_that_keeps_activations():
    shapes = {
        "conv": {"kernel": jax.ShapeDtypeStruct((3, 3, 64, 128), np.float32)},
        "bn": {name: jax.ShapeDtypeStruct((5,), np.float32) for name in ("scale", "bias", "var")},
    }
    drawn = draw_parameters(shapes)
    kernel = drawn["conv"]["kernel"]
    assert kernel.shape == (3, 3, 64, 128) and kernel.dtype == np.float32
    assert kernel.var() == pytest.approx(2 / (9 * 64), rel=0.05)
    assert [drawn["bn"][name].tolist() for name in ("scale", "bias", "var")] == [
        [1.0] * 5,
        [0.0] * 5,
        [1.0] * 5,
    ]
