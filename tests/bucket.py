"""A folder that stands in for gs:// and s3://, through the file systems that etils.epath uses."""

import io
import os
import tempfile
from contextlib import contextmanager

import fsspec
from fsspec.implementations.dirfs import DirFileSystem
from fsspec.implementations.local import LocalFileSystem
from fsspec.registry import _registry

NAMES = ("gs", "gcs", "s3")


class Upload(io.FileIO):
    """A file that has its name and content from when it is closed, as an object in a store."""

    def __init__(self, path, folder):
        self.path = path
        descriptor, self.partial = tempfile.mkstemp(dir=folder)
        super().__init__(descriptor, "w")

    def close(self):
        if not self.closed:
            super().close()
            os.replace(self.partial, self.path)


class Bucket(DirFileSystem):
    """A file system in `folder`; etils keeps one for each store."""

    folder = "/nonexistent"
    cachable = False

    def __init__(self, **_):
        super().__init__("/", LocalFileSystem(auto_mkdir=True))

    @classmethod
    def _strip_protocol(cls, path):
        return path.partition("://")[2] if "://" in path else path

    def open(self, path, mode="rb", **options):
        if mode != "wb":
            return super().open(path, mode, **options)
        path = self._join(path)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        return Upload(path, os.path.dirname(self.folder))

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
