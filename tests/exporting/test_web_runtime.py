"""The package of onnxruntime-web is read safely, and only the expected files are taken from it."""

import gzip
import hashlib
import io
import tarfile

import pytest

from dfjax.errors import UsageError
from dfjax.exporting import web_runtime
from dfjax.exporting.web_runtime import BINARY, SCRIPT, find_web_runtime
from dfjax.weights.published import WebFile

FILES = {SCRIPT: b"export{}", BINARY: b"\0asm"}


@pytest.fixture(autouse=True)
def hashes(monkeypatch):
    """Makes two short files the expected ones."""
    for name, data in FILES.items():
        monkeypatch.setitem(web_runtime.HASHES, name, hashlib.sha256(data).hexdigest())


def write_package(path, entries):
    """Writes a package of names and contents; a content that is a text is the target of a link."""
    with tarfile.open(path, "w:gz") as package:
        for name, content in entries:
            member = tarfile.TarInfo(name)
            if isinstance(content, str):
                member.type, member.linkname = tarfile.SYMTYPE, content
                package.addfile(member)
            else:
                member.size = len(content)
                package.addfile(member, io.BytesIO(content))
    return path


def in_package(files):
    return [(f"package/dist/{name}", data) for name, data in files.items()]


def test_two_files_are_read_and_nothing_is_unpacked(tmp_path):
    others = [("../../outside", b"x"), ("/tmp/outside", b"x"), ("package/dist/ort.js", b"x")]
    path = write_package(tmp_path / "p.tgz", others + in_package(FILES))
    assert find_web_runtime(path) == (FILES[SCRIPT], FILES[BINARY])
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("below", ["", "dist", "package/dist"])
def test_a_folder_is_read(below, tmp_path):
    (tmp_path / below).mkdir(parents=True, exist_ok=True)
    for name, data in FILES.items():
        (tmp_path / below / name).write_bytes(data)
    assert find_web_runtime(tmp_path).binary == FILES[BINARY]


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        (in_package({SCRIPT: b"export{}"}), f"has no {BINARY}"),
        (in_package(FILES | {BINARY: b"other"}), f"{BINARY} in .* is not that of"),
        ([*in_package({SCRIPT: b"export{}"}), (f"package/dist/{BINARY}", "/etc/passwd")], "has no"),
    ],
)
def test_another_package_is_refused(entries, message, tmp_path):
    with pytest.raises(UsageError, match=message):
        find_web_runtime(write_package(tmp_path / "p.tgz", entries))


@pytest.mark.parametrize("data", [b"", b"no archive", gzip.compress(b"no archive", mtime=0)[:-4]])
def test_a_damaged_package_is_refused(data, tmp_path):
    (tmp_path / "p.tgz").write_bytes(data)
    with pytest.raises(UsageError, match=r"p\.tgz"):
        find_web_runtime(tmp_path / "p.tgz")


def test_a_file_that_is_too_large_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(web_runtime, "LARGEST", 3)
    with pytest.raises(UsageError, match="more than 3 bytes"):
        find_web_runtime(write_package(tmp_path / "p.tgz", in_package(FILES)))


def test_without_network_the_message_says_which_file_to_put_where(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    package = WebFile("http://127.0.0.1:9/onnxruntime-web.tgz", "0" * 64, "MIT")
    monkeypatch.setattr(web_runtime, "PACKAGE", package)
    with pytest.raises(
        UsageError, match=r"cannot be reached.*put it at .*onnxruntime-web-[0-9.]+\.tgz"
    ):
        find_web_runtime()
