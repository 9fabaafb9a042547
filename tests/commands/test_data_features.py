"""`dfjax data features`: what a model end to end would have computed, once, whatever happens."""

import json
import types

import cv2
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dfjax.commands.main import main
from dfjax.config import load_config
from dfjax.data.index.error_log import read_errors
from dfjax.data.index.records import make_index, make_record, write_index
from dfjax.data.store import feature_writer
from dfjax.data.store.feature_pack import open_features
from dfjax.data.store.pack import open_pack, pack
from dfjax.errors import UsageError
from dfjax.experiment import run_data
from dfjax.experiment.frozen_backbone import open_backbone
from dfjax.experiment.stored_features import check_backbone, keep_backbone, use_stored_features
from dfjax.inference import feature_backbones
from dfjax.models import build
from dfjax.models.frame_features import FeatureFns, join, put_under, split_off
from dfjax.weights.safetensors_file import load_safetensors

SIZE, LENGTHS = 32, (5, 9, 1, 4)
TOY = ["--backbone", "resnet18", "--width", "0.125", "--one-block", "--size", str(SIZE)]
OPTIONS = {"backbone": "resnet18", "width": 0.125, "one_block": True}


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """A folder with four videos of noise, as crops and as a pack."""
    root, rng = tmp_path_factory.mktemp("data"), np.random.default_rng(0)
    rows = []
    for row, n in enumerate(LENGTHS):
        folder = root / f"crops/{row}"
        folder.mkdir(parents=True)
        for frame in range(n):
            image = cv2.resize(rng.integers(0, 255, (4, 4, 3)).astype(np.uint8), (SIZE, SIZE))
            cv2.imwrite(str(folder / f"{frame:06d}.jpg"), image)
        rows.append(
            make_record(
                video_id=f"set/{row}", dataset="set", label=row % 2, method="m", split="train",
                frames_dir=f"crops/{row}", frame_indices=list(range(n)),
            )
        )  # fmt: skip
    write_index(make_index(rows), root / "index.parquet", command="test")
    pack(root / "index.parquet", root / "pack")
    return root


def extract(*arguments):
    return main(
        ["data", "features", "--batch-size", "4", "--dtype", "float32", *map(str, arguments)]
    )


@pytest.fixture(scope="module")
def made(data):
    assert extract("--data", data / "pack", "--out", data / "features", *TOY) == 0
    return open_features(data / "features")


def all_features(features):
    return np.concatenate(
        [features.read(r, features.frame_numbers(r)) for r in range(len(features))]
    )


def all_clips(data):
    """Every frame as a clip of one, in the order of `all_features`."""
    opened = open_pack(data / "pack")
    crops = [opened.read(row, opened.frame_numbers(row)) for row in range(len(opened))]
    clips = jnp.asarray(np.concatenate(crops)[:, None])
    return {"clip": clips, "mask": jnp.ones(clips.shape[:2], bool)}


def test_a_detector_end_to_end_has_the_same_features_and_scores(made, data):
    """With the parameters of both parts it is the head over the backbone."""
    head = build("clip_detector", features=64, temporal="none")
    whole = build("clip_detector", temporal="none", **OPTIONS)
    backbone, batch = open_backbone(data / "features"), all_clips(data)
    stored = {"features": jnp.asarray(all_features(made)[:, None]), "mask": batch["mask"]}
    variables = head.init(jax.random.key(1), stored)
    expected = head.apply(variables, stored, train=False, rngs=None)[0]
    logits, outputs, _ = jax.jit(lambda v, x: whole.apply(v, x, train=False, rngs=None))(
        join(variables, backbone.variables), backbone.preprocess(batch, None, train=False)
    )
    # Another batch is another order of sums in the convolutions.
    np.testing.assert_allclose(all_features(made), outputs["features"], rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(logits, expected, rtol=1e-5, atol=1e-5)
    assert all_features(made).std(axis=0).max() > 0.1 and logits.std() > 0.1


def test_a_head_over_its_backbone_reads_features_or_frames():
    head = build("clip_detector", features=3, temporal="none")
    backbone = FeatureFns(
        lambda rng, images: {}, lambda v, images: v["params"]["scale"] * images.mean((1, 2))
    )
    frames = jax.random.normal(jax.random.key(0), (2, 4, 5, 5, 3))
    mask = jnp.array([[True] * 4, [True, True, False, False]])
    stored = {"features": 7.0 * frames.mean((2, 3)), "mask": mask}
    variables = head.init(jax.random.key(1), stored)
    below = {"params": {"scale": jnp.float32(7)}, "batch_stats": {}}
    both, model = join(variables, below), put_under(head, backbone)
    assert split_off(both) == (variables, below)
    expected = head.apply(variables, stored, train=False, rngs=None)[0]
    for inputs in (stored, {"rgb": frames, "mask": mask}):
        logits, _, _ = model.apply(both, inputs, train=False, rngs=None)
        np.testing.assert_allclose(logits, expected, rtol=1e-6, atol=1e-6)


def test_the_record_and_the_warning_say_random(made, data, capsys):
    record = json.loads((data / "features" / "features.json").read_text())
    assert record["parameters"] == "random features, seed 0" and record["features"] == 64
    assert record["backbone"] == {
        "name": "resnet18", "width": 0.125, "one_block": True, "padding": "auto",
    }  # fmt: skip
    assert extract("--data", data / "pack", "--out", data / "features", *TOY, "--json") == 0
    captured = capsys.readouterr()
    assert "warning: random features, seed 0: the backbone is not trained" in captured.err
    summary = json.loads(captured.out.splitlines()[-1])
    assert summary["reused"] and (summary["videos"], summary["frames"]) == (4, sum(LENGTHS))
    assert extract("--data", data / "pack", "--out", data / "features", *TOY, "--seed", 1) == 2
    assert "fresh" in capsys.readouterr().err


def test_weights_from_a_file_or_a_workdir(made, data, tmp_path, capsys, monkeypatch):
    saved = data / "features" / "backbone.safetensors"
    assert extract("--data", data / "pack", "--out", tmp_path / "w", *TOY, "--weights", saved) == 0
    assert "warning" not in capsys.readouterr().err
    got = open_features(tmp_path / "w")
    assert got.record["parameters"] == "weights of backbone.safetensors"
    np.testing.assert_array_equal(all_features(got), all_features(made))
    wide = ["--backbone", "resnet18", "--one-block", "--weights", saved]
    assert extract("--data", data / "pack", "--out", tmp_path / "x", *wide) == 2
    assert "has the shape" in capsys.readouterr().err

    config = load_config(
        "resnet18", [f"model.frame_classifier.{k}={v}" for k, v in OPTIONS.items()]
    )
    config.preprocess.size, config.precision = SIZE, "float32"
    variables, _ = load_safetensors(saved)
    detector = types.SimpleNamespace(
        config=config, checkpoint="best/3",
        variables={name: {"backbone": tree, "logits": {}} for name, tree in variables.items()},
    )  # fmt: skip
    monkeypatch.setattr(feature_backbones, "load", lambda workdir, checkpoint: detector)
    assert extract("--data", data / "pack", "--out", tmp_path / "d", "--workdir", "w") == 0
    got = open_features(tmp_path / "d")
    assert got.record["parameters"] == "resnet18, checkpoint best/3"
    np.testing.assert_array_equal(all_features(got), all_features(made))


def test_a_killed_run_goes_on_and_gives_the_same_files(made, data, tmp_path, monkeypatch):
    monkeypatch.setattr(feature_writer, "FRAMES_PER_SHARD", 6)
    arguments = ["--data", data / "pack", *TOY]
    assert extract(*arguments, "--out", tmp_path / "whole") == 0
    write, written = feature_writer.write_shard, []

    def write_until(folder, number, videos, **options):
        if stop and len(written) == 1:
            raise KeyboardInterrupt
        write(folder, number, videos, **options)
        written.append(number)

    monkeypatch.setattr(feature_writer, "write_shard", write_until)
    stop = True
    assert extract(*arguments, "--out", tmp_path / "cut") == 130
    assert written == [0] and not (tmp_path / "cut").exists()
    stop = False
    assert extract(*arguments, "--out", tmp_path / "cut") == 0
    assert written == [0, 1, 2]  # of the shards of 5, 9, and 1 + 4 frames
    for name in ("features-00000.npy", "features-00001.npy", "features-00002.npy"):
        assert (tmp_path / "cut" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    got = open_features(tmp_path / "cut")
    np.testing.assert_allclose(all_features(got), all_features(made), rtol=1e-5, atol=1e-5)


def test_crops_that_are_damaged_are_left_out_and_counted(made, data, tmp_path, capsys):
    index = tmp_path / "index.parquet"
    rows = []
    for row in (0, 1):
        folder = tmp_path / "crops" / str(row)
        folder.mkdir(parents=True)
        for frame in range(2):
            source = data / f"crops/{row}/{frame:06d}.jpg"
            (folder / source.name).write_bytes(source.read_bytes()[: None if frame or row else -9])
        rows.append(
            make_record(
                video_id=f"set/{row}", dataset="set", label=row, method="m",
                frames_dir=f"crops/{row}", frame_indices=[0, 1],
            )
        )  # fmt: skip
    write_index(make_index(rows), index, command="test")
    assert extract("--index", index, "--out", tmp_path / "features", *TOY) == 1
    assert "1 videos or frames left out" in capsys.readouterr().err
    got = open_features(tmp_path / "features")
    assert [list(got.frame_numbers(row)) for row in range(2)] == [[1], [0, 1]]
    assert [entry["video_id"] for entry in read_errors(tmp_path / "features")] == ["set/0"]
    np.testing.assert_allclose(got.read(1, [1]), made.read(1, [1]), rtol=1e-5, atol=1e-5)


def test_a_run_takes_the_backbone_along_and_refuses_another(made, data, tmp_path):
    keep_backbone(made, tmp_path)
    keep_backbone(made, tmp_path)
    kept = open_backbone(tmp_path)
    assert kept.record["parameters_sha256"] == made.record["parameters_sha256"]
    made.record["parameters_sha256"], before = "0" * 64, made.record["parameters_sha256"]
    with pytest.raises(UsageError, match="parameters_sha256 of features.json differ"):
        check_backbone(made, tmp_path)
    made.record["parameters_sha256"] = before
    record = json.loads((tmp_path / "features.json").read_text())
    (tmp_path / "features.json").write_text(json.dumps(record | {"parameters_sha256": "0" * 64}))
    with pytest.raises(UsageError, match="are not those that features.json describes"):
        open_backbone(tmp_path)


def test_the_width_comes_from_the_data_and_the_model_has_to_read_features(made, data, tmp_path):
    place = f"data.features={data / 'features'}"
    config = load_config("transformer_head", [place])
    use_stored_features(config)
    assert config.model.clip_detector.features == 64
    opened = run_data.open_data(config, tmp_path)
    assert len(opened) == 4 and config.data.crop_size == 0  # the caller's config is not changed
    run_data.record_crops(config, opened)
    assert config.data.crop_size == SIZE
    with pytest.raises(UsageError, match="dual_stream does not read stored features"):
        use_stored_features(load_config("dual_stream", [place]))
    with pytest.raises(UsageError, match="not both"):
        use_stored_features(load_config("transformer_head", [place, "data.path=pack"]))
    for folder in (data / "pack", tmp_path):
        with pytest.raises(UsageError, match="`dfjax data features` makes them"):
            use_stored_features(load_config("transformer_head", [f"data.features={folder}"]))
    with pytest.raises(UsageError, match="data.features=FEATURES"):
        run_data.open_data(load_config("transformer_head"), tmp_path)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--backbone", "resnet19"], "Did you mean 'resnet18'"),
        (["--workdir", "w", "--backbone", "b0"], "backbone cannot be combined with workdir"),
        (["--weights", "w", "--seed", "3"], "cannot be combined with weights"),
        (["--weights", "nothing.safetensors"], "the file nothing.safetensors does not exist"),
        (["--dtype", "int8"], "choose from"),
        (["--batch-size", "0"], "batch_size must be positive"),
        (["--index", "nothing.parquet"], "not allowed with argument"),
    ],
)
def test_wrong_usage_is_one_line_and_exit_2(data, tmp_path, capsys, arguments, message):
    assert extract("--data", data / "pack", "--out", tmp_path / "out", *arguments) == 2
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1
