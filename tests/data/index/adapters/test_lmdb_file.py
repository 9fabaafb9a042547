"""The LMDB reader against files of the LMDB library, whole, cut off and with flipped bytes."""

import os
import random

import lmdb
import pytest

from dfjax.data.index.adapters.lmdb_file import LmdbFile
from dfjax.errors import InputError


def write(path, items, *, deleted=(), subdir=False):
    with lmdb.open(str(path), subdir=subdir, map_size=2**26) as store:
        with store.begin(write=True) as transaction:
            for key, value in items.items():
                transaction.put(key, value)
        with store.begin(write=True) as transaction:
            for key in deleted:
                transaction.delete(key)


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """Keys and values of many sizes: three levels of pages, values on pages of their own."""
    rng = random.Random(0)
    keys = [f"set\\video{n:04d}\\{'x' * rng.randrange(300)}".encode() for n in range(800)]
    items = {key: rng.randbytes(rng.choice([1, 10, 300, 3000, 9000])) for key in keys}
    path = tmp_path_factory.mktemp("lmdb") / "store"
    write(path, items, deleted=keys[:50])
    return path, dict(list(items.items())[50:]), keys[:50]


def test_values_are_those_of_the_library(written):
    path, items, deleted = written
    store = LmdbFile(path)
    assert {key: store.get(key) for key in items} == items
    absent = [*deleted, b"", b"a", b"zz", b"set\\video0400"]
    assert {store.get(key) for key in absent} == {None}


def test_a_folder_an_empty_store_and_one_value(tmp_path):
    write(tmp_path / "folder", {b"a": b"1"}, subdir=True)
    assert LmdbFile(tmp_path / "folder").get(b"a") == b"1"
    write(tmp_path / "none", {})
    assert LmdbFile(tmp_path / "none").get(b"a") is None


@pytest.mark.parametrize("share", [0, 0.001, 0.01, 0.3, 0.9, 0.999])
def test_a_store_that_is_cut_off_is_an_error_and_no_signal(written, tmp_path, share):
    data = written[0].read_bytes()
    (tmp_path / "cut").write_bytes(data[: int(len(data) * share)])
    with pytest.raises(InputError, match="is cut off after|is not an LMDB file|cannot be read"):
        LmdbFile(tmp_path / "cut")


def test_flipped_bytes_never_read_beyond_the_end(written, tmp_path):
    path, items, _ = written
    data, rng = path.read_bytes(), random.Random(1)
    errors = 0
    for trial in range(60):
        changed = bytearray(data)
        for _ in range(300):
            changed[rng.randrange(len(data) if trial % 2 else 20_000)] ^= 1 << rng.randrange(8)
        (tmp_path / "flipped").write_bytes(changed)
        try:
            store = LmdbFile(tmp_path / "flipped")
            for key in rng.sample(list(items), 5):
                store.get(key)
        except InputError:
            errors += 1
    assert errors


def test_a_pipe_does_not_block(tmp_path):
    os.mkfifo(tmp_path / "data.mdb")
    with pytest.raises(InputError, match="cannot be read: .*not a regular file"):
        LmdbFile(tmp_path)
