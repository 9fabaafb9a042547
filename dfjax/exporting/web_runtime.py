"""Finds the two files of onnxruntime-web that a page runs networks with in a browser.

They are from its package on npm at a fixed version, and each has a fixed hash. The package is read
where it is and never unpacked, so that no name in it can lead anywhere.
"""

import hashlib
import tarfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from dfjax.errors import UsageError, first_line
from dfjax.weights.fetch import fetch_web_file
from dfjax.weights.published import WebFile

NAME, VERSION = "onnxruntime-web", "1.30.0"
PACKAGE = WebFile(
    f"https://registry.npmjs.org/{NAME}/-/{NAME}-{VERSION}.tgz",
    "d2228df7e4616bc3348bf504ee888f3bec43789a273f0a63f3e68d203ce3bf71",
    "MIT",
)
SCRIPT, BINARY = "ort.wasm.bundle.min.mjs", "ort-wasm-simd-threaded.wasm"
HASHES = {
    SCRIPT: "11e64bd8ffe11bd1a2a2f0d6275fdfbbba7262f0b76b99b53d228a8a22ef3d90",
    BINARY: "3398c10d07d229bd91b364548e130e0e51a8e5704b88c7c083ebbeb78842dee2",
}
"""SHA-256 of the module that runs on one thread, and of its WebAssembly."""

FOLDER = "package/dist"
LARGEST = 2**26  # bytes of a file
MOST_MEMBERS = 10_000


class WebRuntime(NamedTuple):
    """The files of onnxruntime-web.

    Attributes:
        script: Module of JavaScript.
        binary: WebAssembly.
    """

    script: bytes
    binary: bytes


def find_web_runtime(source: Path | None = None) -> WebRuntime:
    """Returns the files of onnxruntime-web.

    Args:
        source: Package of npm (`.tgz`), or a folder with the two files; None is the package in the
            user's cache folder, which is downloaded unless it is there.

    Raises:
        UsageError: There is no network and no package, or a file is missing or another one. The
            message says which file to put where.
        RunError: The file that was received is not the expected one, or the connection broke.
    """
    if source is None:
        source = fetch_web_file(f"{NAME}-{VERSION}", PACKAGE, None).path
    found = _read_folder(source) if source.is_dir() else _read_package(source)
    for name, sha256 in HASHES.items():
        if name not in found:
            raise UsageError(f"{source} has no {name}: it is not {NAME} {VERSION} of npm")
        if hashlib.sha256(found[name]).hexdigest() != sha256:
            raise UsageError(f"{name} in {source} is not that of {NAME} {VERSION} of npm")
    return WebRuntime(found[SCRIPT], found[BINARY])


def _read_folder(folder: Path) -> Mapping[str, bytes]:
    """Returns the two files of a folder, or of `dist` in it, as far as they are there."""
    found = {}
    for name in HASHES:
        for path in (folder / name, folder / "dist" / name, folder / FOLDER / name):
            if path.is_file() and name not in found:
                with path.open("rb") as file:
                    found[name] = _check_size(file.read(LARGEST + 1), path)
    return found


def _read_package(path: Path) -> Mapping[str, bytes]:
    """Returns the two files of a package, as far as they are there."""
    wanted, found = {f"{FOLDER}/{name}": name for name in HASHES}, {}
    try:
        with tarfile.open(path, "r:gz") as package:
            for count, member in enumerate(package):
                name = wanted.get(member.name)
                file = package.extractfile(member) if name and member.isreg() else None
                if name and file:
                    found[name] = _check_size(file.read(LARGEST + 1), path)
                if len(found) == len(HASHES) or count > MOST_MEMBERS:
                    break
    except (OSError, EOFError, tarfile.TarError, zlib.error) as error:
        raise UsageError(f"{path} is no package of npm: {first_line(error)}") from error
    return found


def _check_size(data: bytes, path: Path) -> bytes:
    if len(data) > LARGEST:
        raise UsageError(f"a file of {path} has more than {LARGEST} bytes")
    return data
