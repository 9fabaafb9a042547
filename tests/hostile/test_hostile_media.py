"""Damaged, disguised and badly named media through `predict`, `data index` and `data extract`."""

import json
import os
import re
import socket
from pathlib import Path

import hostile_media
import pytest
from hostile_cases import over
from hostile_checks import Watch

from dfjax.data.index.records import read_index

pytestmark = pytest.mark.slow
CASES = hostile_media.list_cases()
DRAWN = [name for name in hostile_media.NAMES if len(name) > 75 or not name.isprintable()]
NEVER = ("header", "playlist")  # kinds that are no media, whatever they are called
NO_FILE = ("pipe", "itself", "pair", "gone", "endless", "socket", "empty", "secret_link")
LIMIT = ["--workers", "2", "--time-limit", "30"]


class Corpus:
    """All files in one folder, which is the real part of a data set with one fake."""

    def __init__(self, place: Path) -> None:
        self.watch = Watch(place)
        self.root = place / "in"
        self.folder, work = self.root / "real", place / "work"
        for folder in (self.folder, self.root / "fake", work):
            folder.mkdir()
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.listener.setblocking(False)
        address = f"127.0.0.1:{self.listener.getsockname()[1]}"
        (self.root / "fake" / "swap.mp4").write_bytes(hostile_media.good("a.mp4", str(work)))
        self.paths = {
            str(case): hostile_media.write_case(case, self.folder, str(work), address)
            for case in CASES
        }

    def connections(self):
        """Number of connections that somebody opened to the address in the playlists."""
        count = 0
        while True:
            try:
                self.listener.accept()[0].close()
            except BlockingIOError:
                return count
            count += 1


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    made = Corpus(tmp_path_factory.mktemp("media"))
    yield made
    made.listener.close()


@pytest.fixture(scope="module")
def predicted(corpus, honest):
    """What `predict` says of the whole folder."""
    outcome = corpus.watch.run(
        "predict", "--workdir", honest.workdir, "--json", *LIMIT, corpus.folder,
        codes=(1,), lines=False,
    )  # fmt: skip
    return outcome, json.loads(outcome.out.splitlines()[-1])["results"]


@pytest.fixture(scope="module")
def indexed(corpus):
    """What `data index` makes of it: the paths in the index, and those in the log of errors."""
    index = corpus.watch.out / "index.parquet"
    outcome = corpus.watch.run(
        "data", "index", "--adapter", "folder", "--root", corpus.root, "--out", index, *LIMIT,
        codes=(1,), lines=False,
    )  # fmt: skip
    return outcome, list(read_index(index)["path"]), read_log(index.parent)


@pytest.fixture(scope="module")
def extracted(corpus):
    """What `data extract` makes of files that nobody has opened yet."""
    index, out = corpus.watch.out / "raw" / "index.parquet", corpus.watch.out / "crops"
    corpus.watch.run(
        "data", "index", "--adapter", "folder", "--root", corpus.root, "--out", index, "--no-probe",
        lines=False,
    )  # fmt: skip
    outcome = corpus.watch.run(
        "data", "extract", "--index", index, "--out", out, "--detector", "none", "--frames", "2",
        "--size", "32", *LIMIT, codes=(1,), lines=False,
    )  # fmt: skip
    errors = read_log(index.parent) + read_log(out)
    return outcome, read_index(out / "index.parquet"), errors


def read_log(folder):
    return [json.loads(line) for line in (folder / "errors.jsonl").read_text().splitlines()]


def check_reason(watch, case, error):
    watch.case = case
    watch.expect(error and len(error) < 400, f"reason: {error!r}")
    watch.expect_line(error)
    for word in ("died", "took longer", "Traceback"):
        watch.expect(word not in error, f"refused by a crash or a limit, not a check: {error}")


@over(CASES)
def test_predict_lists_it_once(case, corpus, predicted):
    path = str(corpus.paths[str(case)])
    mine = [result for result in predicted[1] if result["input"] == path]
    assert len(mine) == 1, f"{case}: listed {len(mine)} times"
    (result,) = mine
    thing, _, operation = case.kind.partition(".")
    if result["status"] == "error":
        check_reason(corpus.watch, case, result["error"])
        assert result["fake_prob"] is None and result["verdict"] is None
        assert thing != "name", f"a good file under the name {path!r}: {result['error']}"
    else:
        assert 0 <= result["fake_prob"] <= 1 and result["frames_used"] >= 1
        assert thing not in NEVER and operation not in NO_FILE, f"{case}: scored, {result}"
        assert thing != "size" or operation in ("many", "jpg", "mp4", "avi"), f"{case}: {result}"


def test_predict_lists_nothing_else_and_opens_no_connection(corpus, predicted):
    outcome, results = predicted
    inputs = [result["input"] for result in results]
    assert len(inputs) == len(set(inputs))
    assert set(map(str, corpus.paths.values())) <= set(inputs)
    assert len(inputs) <= len(corpus.paths) + 1  # the pair of links is two files
    assert corpus.connections() == 0
    failed = sum(result["status"] == "error" for result in results)
    assert f"{failed} of {len(results)} inputs could not be scored" in outcome.err


def test_names_forge_no_line(corpus, predicted, indexed, extracted):
    for outcome in (predicted[0], indexed[0], extracted[0]):
        for line in outcome.err.split("\n") + outcome.out.split("\n")[:-2]:
            corpus.watch.expect_line(line)
        lines = [line for line in outcome.err.splitlines() if line.strip()]
        strange = [x for x in lines if not x.startswith(("dfjax: ", "note: ", "warning: "))]
        assert not [line for line in strange if "0.9999  fake" in line or "ok 0.0001" in line]


@over(CASES)
def test_index_lists_it_once(case, corpus, indexed):
    check_rows(case, corpus, indexed[1], indexed[2])


@over(CASES)
def test_extract_lists_it_once(case, corpus, extracted):
    check_rows(case, corpus, list(extracted[1]["path"]), extracted[2])


def check_rows(case, corpus, paths, errors):
    """The file is a row of the index or a line of the log, once, and not both."""
    relative = os.path.relpath(corpus.paths[str(case)], corpus.root)
    escaped = relative.encode(errors="backslashreplace").decode()
    reasons = [entry["error"] for entry in errors if entry["path"] in (relative, escaped)]
    times = paths.count(relative) + len(reasons)
    assert times == 1, f"{case}: {relative!r} is listed {times} times"
    for reason in reasons:
        check_reason(corpus.watch, case, reason)
    thing, _, operation = case.kind.partition(".")
    assert reasons or (thing not in NEVER and operation not in NO_FILE), f"{case} was read"


def test_extraction_keeps_faces_apart(corpus, extracted):
    """Every row has a folder of its own with as many crops as it says."""
    index = extracted[1]
    assert index["frames_dir"].is_unique and index["video_id"].is_unique
    for row in index.itertuples():
        folder = corpus.watch.out / "crops" / row.frames_dir
        assert len(list(folder.glob("*.jpg"))) == len(row.frame_indices), row.video_id
    assert corpus.connections() == 0


def test_pictures_of_badly_named_inputs(corpus, honest):
    """Each has its line on the screen and in the log, and a picture if it was scored."""
    out, traps = corpus.watch.out / "strips", [c for c in CASES if c.kind.startswith("place.")]
    paths = [str(corpus.folder / name) for name in DRAWN]
    paths += [str(corpus.paths[str(case)]) for case in traps]
    outcome = corpus.watch.run(
        "predict", "--workdir", honest.workdir, *LIMIT, "--out", out, "--", *paths, codes=(1,)
    )
    logged = [json.loads(line) for line in (out / "predictions.jsonl").read_text().splitlines()]
    assert [line["input"] for line in logged] == paths
    good = sum(line["status"] == "ok" for line in logged)
    assert good >= len(DRAWN)
    assert len(list(out.glob("*.png"))) == good
    shown = [line for line in outcome.out.splitlines() if line.strip()]
    assert len(shown) == good
    assert all(re.match(r"[01]\.\d{4}  (real|fake)  /", line) for line in shown), shown
