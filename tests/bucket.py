"""A folder that stands in for gs:// and s3://, through the file systems that etils.epath uses."""

from contextlib import contextmanager

import fsspec
from fsspec.implementations.dirfs import DirFileSystem
from fsspec.implementations.local import LocalFileSystem
from fsspec.registry import _registry

NAMES = ("gs", "gcs", "s3")


class Bucket(DirFileSystem):
    """A file system in `folder`; etils keeps one for each store."""

    folder = "/nonexistent"
    cachable = False

    def __init__(self, **_):
        super().__init__("/", LocalFileSystem(auto_mkdir=True))

    @classmethod
    def _strip_protocol(cls, path):
        return path.partition("://")[2] if "://" in path else path

    def _join(self, path):
        if isinstance(path, str):
            return f"{self.folder}/{self._strip_protocol(path)}"
        return [self._join(each) for each in path]

    def _relpath(self, path):
        if isinstance(path, str):
            return path.removeprefix(f"{self.folder}/")
        return [self._relpath(each) for each in path]


@contextmanager
def stand_in():
    """Replaces the clients of the stores."""
    before = {name: _registry.get(name) for name in NAMES}
    for name in NAMES:
        fsspec.register_implementation(name, Bucket, clobber=True)
    yield
    for name, implementation in before.items():
        _registry.pop(name)
        if implementation:
            _registry[name] = implementation
