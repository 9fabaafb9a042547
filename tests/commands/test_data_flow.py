"""`dfjax data flow`, and its way through a pack into batches and the model's inputs."""

import json

import cv2
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dfjax.commands.main import main
from dfjax.data.clips.batching import EpochOptions
from dfjax.data.clips.pipeline import make_eval_batches, make_train_batches
from dfjax.data.clips.sampling import Sampling
from dfjax.data.index.records import make_index, make_record, read_index, write_index
from dfjax.data.store.flo_file import write_flo
from dfjax.data.store.flow import MAX_ERROR
from dfjax.data.store.pack import open_pack, pack
from dfjax.data.transforms.augment import make_augment
from dfjax.data.transforms.augment_presets import Augmentation
from dfjax.data.transforms.preprocess import make_preprocess
from dfjax.errors import UsageError

SIZE = 32
FRAMES = {"a": [0, 2, 4, 6, 8], "b": [0, 2, 4, 8], "short": [0]}


@pytest.fixture
def index(tmp_path):
    """Crops of a texture that moves one pixel to the right per source frame."""
    picture = np.random.default_rng(0).integers(0, 256, (20, 40, 3), dtype=np.uint8)
    picture = cv2.resize(picture, (160, 80), interpolation=cv2.INTER_CUBIC)
    rows = []
    for name, numbers in FRAMES.items():
        folder = tmp_path / "crops" / name
        folder.mkdir(parents=True)
        for number in numbers:
            crop = picture[:SIZE, 20 - number : 20 - number + SIZE]
            cv2.imwrite(str(folder / f"{number:06d}.jpg"), crop)
        rows.append(
            make_record(
                video_id=f"s/{name}", dataset="s", label=len(rows) % 2, method="m",
                split="train", frames_dir=f"crops/{name}", frame_indices=numbers,
            )
        )  # fmt: skip
    write_index(make_index(rows), tmp_path / "index.parquet", command="test")
    return tmp_path / "index.parquet"


def flow(index, out, *arguments):
    command = ["data", "flow", "--index", str(index), "--out", str(out), "--workers", "1"]
    return main([*command, "--json", *arguments])


def summary(capsys):
    return json.loads(capsys.readouterr().out.splitlines()[-1])


def test_flow_reaches_the_batches_of_its_clip(index, tmp_path, capsys):
    out = tmp_path / "flow"
    assert flow(index, out, "--stride", "2") == 1  # `short` has no pair of crops
    assert summary(capsys)["flows"] == 4 + 2
    (line,) = (out / "errors.jsonl").read_text().splitlines()
    assert json.loads(line)["video_id"] == "s/short"
    assert "no two crops are 2 source frames apart" in line
    rows = read_index(out / "index.parquet")
    assert rows["flow_indices"].tolist() == [[0, 2, 4, 6], [0, 2]]
    assert rows["frames_dir"][0] == "../crops/a" and rows["flow_dir"][0] == "flow/s/a"
    assert pack(out / "index.parquet", tmp_path / "pack").errors == []
    opened = open_pack(tmp_path / "pack")
    assert opened.flow_stride == 2
    how = dict(sampling=Sampling(4, "stride", 2), flow=True, threads=0)
    once = dict(clips_per_video=1, batch_size=2)
    (batch,) = make_eval_batches(opened, np.arange(2), **once, **how)
    assert batch["flow"].shape == (2, 3, SIZE, SIZE, 2) and batch["flow"].dtype == np.float16
    middle = np.median(batch["flow"][:, :, 8:-8, 8:-8].astype(float), axis=(2, 3))
    np.testing.assert_allclose(middle[0], [[2, 0]] * 3, atol=0.3)
    # Of `b` the clip has frames 2, 4, 8: one flow, none over the gap, and padding.
    assert batch["position"][1].tolist() == [2, 4, 8, -1]
    np.testing.assert_allclose(middle[1], [[2, 0], [0, 0], [0, 0]], atol=0.3)
    assert not batch["flow"][1, 1:].any() and batch["mask"][1].tolist() == [True] * 3 + [False]
    with make_train_batches(
        opened, np.arange(2), EpochOptions("none", 2, seed=0), **how
    ) as batches:
        assert next(batches)["flow"].shape == (2, 3, SIZE, SIZE, 2)
    plain = next(iter(make_eval_batches(opened, np.arange(2), **once, **how | {"flow": False})))
    assert "flow" not in plain


def test_a_recipe_of_another_stride_is_refused(index, tmp_path):
    flow(index, tmp_path / "flow", "--stride", "2")
    pack(tmp_path / "flow/index.parquet", tmp_path / "pack")
    pack(index, tmp_path / "plain")
    with_flow, plain = open_pack(tmp_path / "pack"), open_pack(tmp_path / "plain")
    how = dict(batch_size=1, flow=True, clips_per_video=1)
    for opened, sampling in [
        (with_flow, Sampling(2, "stride", 4)),
        (with_flow, Sampling(2, "even", 2)),
        (plain, Sampling(2, "stride", 2)),
    ]:
        with pytest.raises(UsageError, match="`dfjax data flow` with stride"):
            make_eval_batches(opened, np.arange(1), sampling=sampling, **how)


def test_flow_of_other_programs_is_taken_from_files(index, tmp_path, capsys):
    root = tmp_path / "raft"
    flows = np.random.default_rng(1).normal(size=(4, SIZE, SIZE, 2)).astype(np.float32) * 3
    for name, starts in {"a": [0, 2, 4, 6], "b": [0]}.items():
        (root / "s" / name).mkdir(parents=True)
        for k, start in enumerate(starts):
            write_flo(flows[k], root / "s" / name / f"{start:06d}.flo")
    out = tmp_path / "flow"
    assert flow(index, out, "--stride", "2", "--flo-root", str(root)) == 1
    errors = [json.loads(line) for line in (out / "errors.jsonl").read_text().splitlines()]
    assert {e["video_id"]: e["error"] for e in errors}["s/b"] == (
        "000002.flo: cannot be opened: No such file or directory"
    )
    pack(out / "index.parquet", tmp_path / "pack")
    stored = open_pack(tmp_path / "pack").read_flow(0, [0, 2, 4, 6, 8]).astype(np.float32)
    assert np.abs(stored - flows).max() <= MAX_ERROR + 1e-6
    write_flo(flows[0][:8], root / "s/a/000000.flo")
    assert flow(index, out, "--stride", "2", "--flo-root", str(root)) == 2  # now nothing has flow
    assert "000000.flo is 32x8, but crops are 32x32" in (out / "errors.jsonl").read_text()


def test_what_is_done_is_reused_until_its_crops_change(index, tmp_path):
    out = tmp_path / "flow"
    flow(index, out, "--stride", "2")
    file = out / "flow/s/a/000000.png"
    before = file.stat().st_mtime_ns, file.read_bytes()
    flow(index, out, "--stride", "2")
    assert file.stat().st_mtime_ns == before[0]
    cv2.imwrite(str(tmp_path / "crops/a/000000.jpg"), np.zeros((SIZE, SIZE, 3), np.uint8))
    flow(index, out, "--stride", "2")
    assert file.read_bytes() != before[1]
    flow(index, out, "--stride", "4")
    assert sorted(p.name for p in (out / "flow/s/a").glob("*.png")) == [
        "000000.png", "000002.png", "000004.png",
    ]  # fmt: skip


def test_damaged_flow_is_left_out_of_the_pack_and_listed(index, tmp_path):
    out = tmp_path / "flow"
    flow(index, out, "--stride", "2")
    (out / "flow/s/a/000002.png").write_bytes(b"broken")
    (out / "flow/s/b/000000.png").unlink()
    errors = pack(out / "index.parquet", tmp_path / "pack").errors
    assert [(e["video_id"], e["error"]) for e in errors] == [
        ("s/a", "000002.png: not a flow, or damaged"),
        ("s/b", "000000.png: No such file or directory"),
    ]
    opened = open_pack(tmp_path / "pack")
    assert opened.index["flow_indices"].tolist() == [[0, 4, 6], [2]]
    present = opened.read_flow(0, [0, 2, 4, 6]).any(axis=(1, 2, 3))
    assert present.tolist() == [True, False, True]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--stride", "0"], "stride must be positive"),
        (["--stride", "2", "--flo-root", "absent"], "no folder absent"),
        (["--stride", "x"], "--stride"),
    ],
)
def test_wrong_usage(index, tmp_path, capsys, arguments, message):
    assert flow(index, tmp_path / "flow", *arguments) == 2
    assert message in capsys.readouterr().err
    assert flow(index, tmp_path, "--stride", "2") == 2
    assert "is an input and would be overwritten" in capsys.readouterr().err


def test_flow_shrinks_and_flips_with_its_clip():
    """A mirrored clip has mirrored vectors; half the picture has half the pixels to move."""
    rng = np.random.default_rng(0)
    batch = {
        "clip": jnp.asarray(rng.integers(0, 256, (2, 3, 8, 8, 3), dtype=np.uint8)),
        "mask": jnp.ones((2, 3), bool),
        "flow": jnp.asarray(rng.normal(size=(2, 2, 8, 8, 2)), jnp.float16),
    }
    flip = make_augment(Augmentation({"flip": (1.0,)}), fill=(0.0,) * 3)
    flipped = make_preprocess({"hq": 8}, mean=(0.0,) * 3, std=(1.0,) * 3, augment=flip)
    inputs = flipped(batch, jax.random.key(0), train=True)
    expected = np.asarray(batch["flow"], np.float32)[..., ::-1, :] * [-1, 1]
    np.testing.assert_array_equal(inputs["flow"], expected)
    assert inputs["flow"].dtype == jnp.float32
    plain = flipped(batch, None, train=False)
    np.testing.assert_array_equal(plain["flow"], np.asarray(batch["flow"], np.float32))
    half = make_preprocess({"hq": 4}, mean=(0.0,) * 3, std=(1.0,) * 3)
    constant = batch | {"flow": jnp.full((2, 2, 8, 8, 2), 3.0, jnp.float16)}
    small = half(constant, None, train=False)["flow"]
    assert small.shape == (2, 2, 4, 4, 2)
    np.testing.assert_allclose(small, 1.5, rtol=1e-6)
