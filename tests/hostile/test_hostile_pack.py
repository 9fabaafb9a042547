"""Files beside the pixels: what packs and folders of crops keep about themselves, damaged."""

import json
import shutil

import numpy as np
import pytest
from hostile_cases import make_cases, over
from hostile_mutations import BYTES, JSON, mutate_json, rewrite
from hostile_tables import COLUMNS, write_mutated

from dfjax.data.index.records import read_index
from dfjax.data.store.pack import open_pack

pytestmark = pytest.mark.slow
CROPS = ("--detector", "none", "--frames", "4", "--size", "32", "--workers", "1")


@pytest.fixture(autouse=True)
def here(monkeypatch):
    """Runs the tasks of worker processes in this one, which starts no process per case."""
    from hostile_workers import run_tasks

    for module in ("data.faces.extract_index", "data.index.probing"):
        monkeypatch.setattr(f"dfjax.{module}.run_tasks", run_tasks)


def read_everything(folder):
    """All crops of a pack, by video."""
    pack = open_pack(folder)
    return {
        row.video_id: pack.read(number, row.frame_indices)
        for number, row in enumerate(pack.index.itertuples())
    }


@pytest.fixture(scope="module")
def true(honest):
    return read_everything(honest.pack)


def check_pack(watch, pack, honest, changed):
    """`data verify` names what differs; reading gives errors or crops of the right shape."""
    same = changed.is_file() and changed.read_bytes() == (honest.pack / changed.name).read_bytes()
    outcome = watch.run("data", "verify", "--pack", pack, "--workers", "1")
    if outcome.code == 0 and changed.name != "checksums.json":
        watch.expect(same, f"{changed.name} differs, and `data verify` says nothing")
    if outcome.code == 1 and changed.name != "checksums.json":  # which names what it lists wrongly
        watch.expect(changed.name in outcome.err, f"{changed.name} is not named: {outcome.err}")
    return watch.call(read_everything, pack, errors=(*watch.ERRORS, KeyError))


@over(
    make_cases("features", JSON, 3) + make_cases("dataset_info", JSON, 3)
    + make_cases("checksums", JSON, 3) + make_cases("crop_recipe", JSON, 3)
)  # fmt: skip
def test_json_of_a_pack(case, watch, honest, true):
    pack = honest.take("pack", watch.inputs / "pack")
    file = pack / f"{case.kind.partition('.')[0]}.json"
    rewrite(file, mutate_json(json.loads(file.read_text()), case.operation, case.rng()))
    crops = check_pack(watch, pack, honest, file)
    if isinstance(crops, dict):
        for name, pixels in crops.items():
            watch.expect(np.array_equal(pixels, true[name]), f"other pixels in {name}")


@over(make_cases("shard", BYTES, 3))
def test_shards(case, watch, honest, true):
    pack = honest.take("pack", watch.inputs / "pack")
    shards = sorted(p for p in pack.iterdir() if "array_record" in p.name)
    file = case.rng().choice(shards)
    rewrite(file, BYTES[case.operation](file.read_bytes(), case.rng()))
    check_pack(watch, pack, honest, file)


@over(make_cases("pack_index", COLUMNS, 4))
def test_index_of_a_pack(case, watch, honest):
    pack = honest.take("pack", watch.inputs / "pack")
    write_mutated(honest.pack / "index.parquet", pack / "index.parquet", case.operation, case.rng())
    check_pack(watch, pack, honest, pack / "index.parquet")


@over(
    make_cases("extraction", JSON, 3) + make_cases("faces", JSON, 4) + make_cases("errors", JSON, 2)
)  # fmt: skip
def test_extraction_goes_on(case, watch, honest):
    """The state that an interrupted extraction left is damaged: it is done again, or refused."""
    out = shutil.copytree(honest.crops, watch.out)
    file = {
        "extraction": out / "extraction.json",
        "faces": case.rng().choice(sorted(out.rglob("faces.json"))),
        "errors": out / "errors.jsonl",
    }[case.kind.partition(".")[0]]
    value = json.loads(file.read_text()) if file.exists() else {"video_id": "x", "error": "y"}
    rewrite(file, mutate_json(value, case.operation, case.rng()))
    outcome = watch.run("data", "extract", "--index", honest.index, "--out", out, *CROPS)
    if outcome.code == 0:
        assert_same_crops(watch, out, honest.crops)


def assert_same_crops(watch, out, crops):
    mine, theirs = (read_index(folder / "index.parquet") for folder in (out, crops))
    columns = ["video_id", "label", "sha256", "frames_dir", "frame_indices"]
    a, b = (json.loads(table[columns].to_json(orient="records")) for table in (mine, theirs))
    watch.expect(a == b, f"other rows: {a} {b}")
    for file in crops.rglob("*.jpg"):
        copy = out / file.relative_to(crops)
        watch.expect(copy.read_bytes() == file.read_bytes(), f"another crop {copy.name}")


@over(make_cases("frames", ("cut", "empty", "remove", "other", "grown", "text", "folder"), 2))
def test_crops(case, watch, honest):
    """Crops that were damaged since: left out of a pack, and named by `data verify`."""
    folder, rng = watch.inputs / "crops", case.rng()
    honest.take("crops", folder)
    file = rng.choice(sorted(folder.rglob("*.jpg")))
    if case.operation in ("remove", "folder"):
        file.unlink()
        if case.operation == "folder":
            file.mkdir()
    else:
        data = file.read_bytes()
        new = {
            "cut": data[: len(data) // 3], "empty": b"", "other": b"GIF89a" + data, "text": b"no",
            "grown": data + b"\0" * 5000,
        }  # fmt: skip
        rewrite(file, new[case.operation])
    verified = watch.run("data", "verify", "--index", folder / "index.parquet", "--workers", "1")
    packed = watch.run("data", "pack", "--index", folder / "index.parquet", "--out", watch.out)
    assert packed.code == verified.code == (0 if case.operation == "grown" else 1)
    if packed.code:
        errors = [json.loads(x) for x in (watch.out / "errors.jsonl").read_text().splitlines()]
        assert len(errors) == 1
