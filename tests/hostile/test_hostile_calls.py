"""Config overrides that cannot work, and arrays that are no clips."""

import warnings

import numpy as np
import pytest
from hostile_cases import make_cases, over
from hostile_checks import CANARY

import dfjax
from dfjax.config import load_config
from dfjax.config_overrides import leaves
from dfjax.errors import RunError

KEYS = sorted(key for key in leaves(load_config("resnet18:smoke")) if ".custom" not in key)
VALUES = (
    *("", "0", "-1", "1", "0.5", "2", "nan", "inf", "-inf", "1e300", "1e-300"),
    *("9" * 20, "9" * 5000, "None", "True", "False", "abc", "(abc,)", "()", "(1,)", "(1, 2)", "[]"),
    *("('a', 'b')", "((), ())", "{}", "(" * 300, "1,2", "'", '"', "\0", "é", "\x1b[31m", "a\nb"),
    *("../..", "/etc/passwd", f"{CANARY}.attack", "__import__('os')", "x" * 3000, "1e9", "0x10"),
    *("1_000", "(nan,)"),
)  # fmt: skip


class Reached(RunError):
    """The config has passed every check that comes before data."""


@pytest.fixture
def no_data(monkeypatch):
    """A run ends where it would open or draw its data."""

    def stop(*arguments, **options):
        raise Reached("the data would be opened here")

    monkeypatch.setattr("dfjax.experiment.run_data.open_data", stop)


def train(watch, *overrides):
    outcome = watch.run(
        "train", "--config=resnet18:smoke", f"--workdir={watch.out}",
        *(f"--config.{item}" for item in overrides), codes=(1, 2),
    )  # fmt: skip
    left = sorted(p.name for p in watch.out.rglob("*")) if watch.out.exists() else []
    assert set(left) <= {".lock"}, f"refused after {left} were made"
    return outcome


@over(make_cases("override", KEYS, 1))
def test_any_override(case, watch, no_data):
    value = case.rng().choice(VALUES)
    watch.case = f"{case} {value[:40]!r}"
    outcome = train(watch, f"{case.operation}={value}")
    reached = "the data would be opened here" in outcome.err
    watch.expect(reached == (outcome.code == 1), f"neither refused nor passed: {outcome.err}")


IMPOSSIBLE = (
    "train.batch_size=1000000000", "train.batch_size=0", "train.batch_size=-8",
    "data.frames=100000",
    "data.frames=0", "data.frames=-1", "data.stride=0", "data.stride=-3", "data.stride=1000000000",
    "mix.mixup=5000", "mix.mixup=nan", "mix.mixup=-1", "mix.cutmix=inf", "mix.probability=2",
    "mix.probability=nan", "optimizer.learning_rate=1e300", "optimizer.learning_rate=nan",
    "optimizer.learning_rate=-1", "optimizer.weight_decay=nan", "optimizer.weight_decay=-1",
    "optimizer.b1=1.5", "optimizer.b2=-0.1", "optimizer.eps=-1", "optimizer.eps=nan",
    "optimizer.name=nope", "optimizer.clip_norm=nan", "schedule.name=nope",
    "schedule.warmup_steps=-1",
    "schedule.final_scale=nan", "data.threads=0", "data.threads=-1", "data.workers=-1",
    "data.workers=100000", "data.threads=1000000", "data.prefetch=-1", "train.accumulate=3",
    "train.accumulate=0", "mesh.tensor=7", "mesh.data=0", "mesh.fsdp=-2", "loss.focal.gamma=nan",
    "loss.bce.smoothing=nan", "loss.bce.smoothing=2", "loss.name=nope", "loss.temporal=nan",
    "loss.temporal=-1", "loss.method=nan", "loss.class_weights=nope", "loss.class_weights=-1,2",
    "loss.class_weights=nan,1", "seed=99999999999999999999", "seed=-1", "augment.blur=(abc,)",
    "augment.blur=(nan,)", "augment.flip=(2,)", "augment.flip=(-1,)", "augment.preset=nope",
    "augment.jpeg=(1,0,200)", "precision=float7", "lowering=nope", "model.name=nope",
    "model.frame_classifier.backbone=nope", "model.frame_classifier.width=0",
    "model.frame_classifier.width=nan", "model.frame_classifier.width=-1", "preprocess.size=0",
    "preprocess.size=-1", "preprocess.size=1000000", "preprocess.std=(0,0,0)",
    "preprocess.mean=(nan,0,0)", "preprocess.mean=(0,)", "data.sampling=nope",
    "data.sampling=duration:nan", "data.sampling=duration:-1", "data.pad=nope", "data.pairing=nope",
    "data.self_blend=nan", "data.self_blend=2", "data.hard_mining=nan", "data.hard_mining=-1",
    "data.train_clips=0", "data.eval_clips=-1", "data.train_clips=1000000000", "train.epochs=0",
    "train.log_every=0", "train.ema_decay=1", "train.ema_decay=nan", "train.max_skipped=-1",
    "eval.batch_size=0", "eval.batch_size=1000000000", "checkpoint.every_steps=0",
    "checkpoint.keep=0", "early_stop.metric=nope", "early_stop.mode=nope", "early_stop.patience=-1",
    "plateau.rule=nope", "plateau.factor=nan", "plateau.factor=2", "plateau.metric=nope",
    "data.synthetic.videos=-1", "data.synthetic.size=0", "data.synthetic.frames=0",
    "data.synthetic.identities=1", "data.synthetic.videos=1000000000000", "profile=9:1",
    "profile=abc", "data.fold=9/2", "data.fold=abc", "data.fold=0/0", "data.crop_size=-1",
    "optimizer.multipliers=((1,2),)", "optimizer.no_decay=('(',)", "optimizer.freeze=('[',)",
    "augment.one_of=(0.5,'nope')", "train.init_from=/nowhere", "no.such.key=1", "train=1",
)  # fmt: skip


@pytest.mark.parametrize("override", IMPOSSIBLE)
def test_what_cannot_work_is_refused_before_anything_is_made(override, watch, no_data):
    assert train(watch, override).code == 2


class Strange:
    """Claims to be an array, and is not."""

    def __init__(self, result):
        self.result = result

    def __array__(self, dtype=None, copy=None):
        if isinstance(self.result, Exception):
            raise self.result
        return self.result


T = 1  # frames of a clip of the honest run


def frames(*shape, dtype=np.uint8):
    return np.zeros(shape, dtype)


def make_matrix():
    with warnings.catch_warnings(action="ignore", category=PendingDeprecationWarning):
        return np.matrix([[1, 2], [3, 4]])


ARRAYS = {
    "no_pixels": lambda: frames(1, T, 0, 0, 3),
    "no_height": lambda: frames(1, T, 0, 32, 3),
    "no_clips": lambda: frames(0, T, 32, 32, 3),
    "no_frames": lambda: frames(1, 0, 32, 32, 3),
    "one_channel": lambda: frames(1, T, 32, 32, 1),
    "four_channels": lambda: frames(1, T, 32, 32, 4),
    "no_channels": lambda: frames(1, T, 32, 32, 0),
    "channels_first": lambda: frames(1, T, 3, 32, 32),
    "one_pixel": lambda: frames(1, T, 1, 1, 3),
    "too_long": lambda: frames(1, T + 7, 32, 32, 3),
    "image": lambda: frames(32, 32, 3),
    "gray": lambda: frames(32, 32),
    "flat": lambda: frames(100),
    "scalar": lambda: np.uint8(3),
    "six_axes": lambda: frames(1, 1, T, 32, 32, 3),
    "float": lambda: frames(1, T, 32, 32, 3, dtype=np.float32),
    "nan": lambda: np.full((1, T, 32, 32, 3), np.nan),
    "int64": lambda: frames(1, T, 32, 32, 3, dtype=np.int64),
    "int8": lambda: frames(1, T, 32, 32, 3, dtype=np.int8),
    "bool": lambda: frames(1, T, 32, 32, 3, dtype=bool),
    "complex": lambda: frames(1, T, 32, 32, 3, dtype=np.complex64),
    "object": lambda: frames(1, T, 32, 32, 3).astype(object),
    "objects": lambda: np.array([None, "x"], object),
    "text": lambda: np.array(["a", "b"]),
    "bytes": lambda: np.zeros((1, T, 32, 32, 3), np.dtype((np.bytes_, 1))),
    "dates": lambda: np.zeros((1, T, 32, 32, 3), "datetime64[s]"),
    "records": lambda: np.zeros((1, T, 32, 32, 3), [("a", np.uint8)]),
    "big_endian": lambda: frames(1, T, 32, 32, 3, dtype=">u2"),
    "endless": lambda: np.broadcast_to(np.uint8(0), (10**6, T + 1, 10**4, 10**4, 3)),
    "wide": lambda: np.broadcast_to(np.uint8(0), (1, T, 10**7, 10**7, 3)),
    "strided": lambda: frames(2, T, 64, 64, 6)[::2, :, ::-2, ::2, ::-2],
    "negative": lambda: frames(1, T, 32, 32, 3)[..., ::-1],
    "fortran": lambda: np.asfortranarray(frames(1, T, 32, 32, 3)),
    "read_only": lambda: np.frombuffer(bytes(T * 32 * 32 * 3), np.uint8).reshape(1, T, 32, 32, 3),
    "masked": lambda: np.ma.masked_all((1, T, 32, 32, 3), np.uint8),
    "matrix": make_matrix,
    "list": lambda: frames(1, T, 8, 8, 3).tolist(),
    "ragged": lambda: [[1, 2], [3]],
    "clips_of_two_sizes": lambda: [frames(T, 8, 8, 3), frames(T, 9, 9, 3)],
    "nothing": lambda: None,
    "empty_list": lambda: [],
    "dict": lambda: {"clip": frames(1, T, 32, 32, 3)},
    "set": lambda: {1, 2},
    "generator": lambda: (x for x in range(3)),
    "number": lambda: 3,
    "bytes_object": lambda: b"\x89PNG",
    "raises": lambda: Strange(ValueError("no")),
    "raises_type_error": lambda: Strange(TypeError("no")),
    "raises_attribute_error": lambda: Strange(AttributeError("no")),
    "raises_lookup_error": lambda: Strange(KeyError()),
    "gives_text": lambda: Strange(np.array("x")),
    "module": lambda: np,
    "function": lambda: len,
    "path_and_array": lambda: ["a.mp4", frames(T, 8, 8, 3)],
    "null_path": lambda: "a\0b.mp4",
    "empty_path": lambda: "",
    "long_path": lambda: "x" * 5000,
    "folder": lambda: "/proc/self/fd",
    "url": lambda: "http://127.0.0.1:9/x.mp4",
}
RIGHT = ("strided", "negative", "fortran", "read_only", "masked", "list", "one_pixel")


@pytest.fixture(scope="module")
def detector(honest):
    return dfjax.load(honest.workdir)


@pytest.mark.slow  # its fixture takes a minute: index, extract, pack, train, export, evaluate
@over(make_cases("array", ARRAYS, 2))
def test_arrays(case, watch, detector):
    value = ARRAYS[case.operation]()
    call = (detector, detector.predict)[case.number]
    result = watch.call(call, value, errors=(ValueError,))
    if isinstance(result, ValueError):
        assert case.operation not in RIGHT or case.operation == "list", result
    elif case.number:
        assert result.dtype == np.float32 and ((result >= 0) & (result <= 1)).all()
    else:
        for verdict in result if isinstance(result, list) else [result]:
            good = verdict.status == "ok" and 0 <= verdict.fake_prob <= 1
            assert good or (verdict.error and "\n" not in verdict.error)
    refused = isinstance(result, ValueError)
    pixels = case.operation in ("no_pixels", "no_height", "one_channel", "no_channels")
    assert refused or not pixels, f"a score of nothing: {result}"
