"""Checksums of the files of a checkpoint, which lie in the folder of its step.

Orbax writes a step into a temporary folder and renames that to the step once all is there. The
checksums are written just before the renaming, so that every step has them, or is not there.
"""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import orbax.checkpoint as ocp

from dfjax.files import hash_file, write_json
from dfjax.json_files import read_json

CHECKSUMS = "checksums.json"
SCHEMA = {"sha256": {str: str}}
UNLISTED = (CHECKSUMS, "commit_success.txt")  # Orbax writes the second after the renaming
THREADS = 4


class ChecksummedPath(ocp.path.atomicity.AtomicRenameTemporaryPath):
    """The temporary folder of a step, whose files get checksums before it is renamed."""

    @classmethod
    def from_final(
        cls, final_path: Any, *, checkpoint_metadata_store: Any = None, **options: Any
    ) -> Any:
        """Returns the temporary folder of a step.

        Without the store, Orbax does not write the time into its metadata file after the checksums.
        """
        del checkpoint_metadata_store
        return super().from_final(final_path, **options)

    async def finalize(self) -> None:
        """Writes the checksums and renames the folder."""
        write_checksums(Path(self.get()))
        await super().finalize()


def write_checksums(folder: Path) -> None:
    """Writes `checksums.json` with the SHA-256 of every file in a folder and below it."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    with ThreadPoolExecutor(THREADS) as pool:
        hashes = list(pool.map(hash_file, files))
    names = [path.relative_to(folder).as_posix() for path in files]
    write_json(folder / CHECKSUMS, {"sha256": dict(zip(names, hashes))})


def verify_checksums(folder: Path) -> bool:
    """Returns whether a step has checksums; those of earlier versions have none.

    Raises:
        ValueError: A file is missing, has other bytes than were written, was added, or is not a
            regular file, which could block whoever reads it; or the step is a link. Hidden files
            of the operating system may be added.
        FileError: The checksums themselves are damaged.
    """
    if folder.is_symlink():
        raise ValueError("it is a symbolic link, which is not followed")
    for path in folder.rglob("*"):
        if not path.is_dir() and not path.is_file():
            raise ValueError(f"{path.relative_to(folder)} is not a regular file")
    if not (folder / CHECKSUMS).exists():
        return False
    expected = read_json(folder / CHECKSUMS, SCHEMA)["sha256"]
    for path in folder.rglob("[!.]*"):
        name = path.relative_to(folder).as_posix()
        if path.is_file() and name not in expected and name not in UNLISTED:
            raise ValueError(f"{name} is not among the files that were written")
    files = [folder / name for name in expected]
    for name, path in zip(expected, files):
        if not path.is_file():
            raise ValueError(f"{name} is missing")
    with ThreadPoolExecutor(THREADS) as pool:
        for name, found in zip(expected, pool.map(hash_file, files)):
            if found != expected[name]:
                raise ValueError(f"{name} has other bytes than were written")
    return True
