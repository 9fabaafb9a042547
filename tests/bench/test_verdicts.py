"""The time from a video to its verdict, with injected times, and the random detector's file."""

import types

import jax
import numpy as np
import pytest
from ml_collections import ConfigDict

from dfjax.bench import verdicts
from dfjax.bench.measure import measure
from dfjax.bench.verdicts import draw_parameters, measure_predict
from dfjax.config import load_config
from dfjax.errors import UsageError
from dfjax.experiment import builders
from dfjax.inference.detector import Detector, load
from dfjax.weights.safetensors_file import read_header

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
    files = [tmp_path / name for name in ("bad.png", "a.png", "b.png")]
    for file in files:
        file.touch()
    row = measure_predict(files, detector="runs/first", **SIZES, steps=2)
    both = [["a.png"], ["b.png"], ["a.png", "b.png"]]
    first = [["bad.png"], ["a.png"]]  # the first one that has a verdict
    assert stub.calls == [*first, ["bad.png", "a.png", "b.png"], *both, *both]
    assert (row["videos"], row["verdicts"], row["drawn"]) == (2, 4, False)
    assert (row["config"], row["frames"], row["size"]) == ("stub", 8, 64)
    singles = [4.0, 5.0, 7.0, 8.0]  # the calls 6 and 9 are those of both
    assert row["first_s"] == 2.0 and row["p50_s"] == 6.0 and row["workers"] <= 2
    assert row["p95_s"] == pytest.approx(np.percentile(singles, 95))
    assert row["videos_per_s"] == pytest.approx(2 / 7.5)
    assert row["peak_bytes"] > 10**8
    assert "bad.png is left out: no picture" in capsys.readouterr().err
    text = verdicts.describe_prediction(row)
    assert text.startswith("predict with runs/first, 2 videos: 6.00 s a video (p95 7.85 s")
    with pytest.raises(UsageError, match="no video has a verdict"):
        measure_predict(files[:1], detector="runs/first", **SIZES, steps=1)


@pytest.mark.parametrize(
    ("cores", "count", "said"),
    [(2, 3, "by 2 processes,"), (8, 3, "by 3 processes,"), (8, 1, "by 1 process,")],
)
def test_no_more_processes_read_than_there_are_videos(
    stub, tmp_path, monkeypatch, cores, count, said
):
    files = [tmp_path / f"{name}.png" for name in "abc"]
    for file in files:
        file.touch()
    monkeypatch.setattr(verdicts.os, "cpu_count", lambda: cores)
    row = measure_predict(files[:count], detector="runs/first", **SIZES, steps=1)
    assert said in verdicts.describe_prediction(row)


def test_a_given_detector_has_its_own_sizes():
    with pytest.raises(UsageError, match="has its own frames, dtype; only a random one"):
        next(measure("predict", detector="runs/first", frames=4, dtype="float32"))
    with pytest.raises(UsageError, match="frames must be at least 1, not 0"):
        next(measure("predict", frames=0))


def test_the_random_detector_is_a_file_of_the_sizes_that_load_reads(tmp_path, monkeypatch):
    monkeypatch.setattr(verdicts, "CONFIG", "dual_stream:smoke")
    sizes = {"frames": 3, "size": 48, "dtype": "bfloat16", "lowering": "native"}
    file = verdicts._store_random(tmp_path, **sizes)
    detector = load(file)
    config = detector.config
    assert (config.data.frames, config.preprocess.size) == (3, 48)
    assert config.model.dual_stream.lq_size == 24
    assert (config.precision, config.lowering) == ("bfloat16", "native")
    wanted = jax.eval_shape(
        builders.make_model(config).init, jax.random.key(0), builders.example_inputs(config)
    )
    describe = jax.tree.map(lambda leaf: (leaf.shape, leaf.dtype), detector.variables)
    assert describe == jax.tree.map(lambda leaf: (leaf.shape, leaf.dtype), dict(wanted))
    assert read_header(file)["checkpoint"] == "random"
    smoke = load_config("dual_stream:smoke")
    assert config.data.frames != smoke.data.frames and config.precision != smoke.precision


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
