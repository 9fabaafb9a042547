"""Reads values from an LMDB file by key, with every offset checked against the size of the file.

The LMDB library trusts the files that it maps: in one that is cut off or damaged it reads beyond
the end, which ends the process with a signal. The format is a B+ tree of pages of one size
(`lmdb.h` and `mdb.c` of OpenLDAP, data version 1); only what a lookup needs is read here.
"""

import mmap
import struct
from pathlib import Path
from typing import NamedTuple

from dfjax.errors import InputError
from dfjax.files import open_regular

MAGIC, VERSION = 0xBEEFC0DE, 1
META = struct.Struct("<II16xI44x4xHHQQQQQQQ")
"""Magic, version, page size; flags, depth, branch, leaf and overflow pages, entries and root of the
main tree, last page, transaction."""

PAGE = struct.Struct("<QHHHH")  # number, padding, flags, end of the pointers, start of the nodes
NODE = struct.Struct("<HHHH")  # size of the value or child's page, flags, size of the key
BRANCH, LEAF = 0x01, 0x02  # flags of a page
PAGE_SIZES, DEFAULT_PAGE_SIZE = tuple(2**power for power in range(8, 17)), 4096
BIG = 0x01  # flag of a node: the value lies on pages of its own
MAX_DEPTH = 32


class _Meta(NamedTuple):
    """A header: number of the transaction that wrote it, root of the tree, pages of the file."""

    transaction: int
    root: int
    last_page: int
    page_size: int


class LmdbFile:
    """An open LMDB file."""

    def __init__(self, path: Path) -> None:
        """Opens a file.

        Raises:
            InputError: It is not an LMDB file, or is cut off.
        """
        file = path / "data.mdb" if path.is_dir() else path
        try:
            with open_regular(file) as opened:
                self._data = mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ)
        except (OSError, ValueError) as error:
            raise InputError(f"{file} cannot be read: {error}") from error
        first = self._read_meta(0)
        metas = [first, self._read_meta(first.page_size if first else DEFAULT_PAGE_SIZE)]
        newest = max((meta for meta in metas if meta), default=None)
        if newest is None:
            raise InputError(f"{file} is not an LMDB file")
        self._root, self._page_size = newest.root, newest.page_size
        wanted = (newest.last_page + 1) * newest.page_size
        if len(self._data) < wanted:
            raise InputError(f"{file} is cut off after {len(self._data)} of {wanted} bytes")

    def _read_meta(self, place: int) -> _Meta | None:
        """Returns one of the two headers, which are written in turn, if it is there."""
        if len(self._data) < place + PAGE.size + META.size:
            return None
        fields = META.unpack_from(self._data, place + PAGE.size)
        magic, version, page_size, *_, root, last_page, transaction = fields
        known = (magic, version) == (MAGIC, VERSION) and page_size in PAGE_SIZES
        return _Meta(transaction, root, last_page, page_size) if known else None

    def get(self, key: bytes) -> bytes | None:
        """Returns the value of a key, or None.

        Raises:
            InputError: The file is damaged.
        """
        if self._root == 2**64 - 1:  # the tree is empty
            return None
        number = self._root
        try:
            for _ in range(MAX_DEPTH):
                start, flags, nodes = self._read_page(number)
                if flags & LEAF:
                    return self._find_value(start, nodes, key)
                if not flags & BRANCH:
                    raise ValueError(f"page {number} is not of a tree")
                place = start + nodes[self._search(start, nodes, key)]
                low, high, upper, _ = NODE.unpack_from(self._data, place)
                number = low | high << 16 | upper << 32
        except (ValueError, struct.error, IndexError) as error:
            raise InputError(f"the LMDB file is damaged: {error}") from error
        raise InputError("the LMDB file is damaged: its tree has no leaves")

    def _read_page(self, number: int) -> tuple[int, int, tuple[int, ...]]:
        """Returns the offset of a page, its flags and the offsets of its nodes within it."""
        start = number * self._page_size
        if start + self._page_size > len(self._data):
            raise ValueError(f"page {number} is beyond its end")
        _, _, flags, lower, _ = PAGE.unpack_from(self._data, start)
        count = (lower - PAGE.size) // 2
        if not 0 < count <= self._page_size // 2:
            raise ValueError(f"page {number} has {count} nodes")
        return start, flags, struct.unpack_from(f"<{count}H", self._data, start + PAGE.size)

    def _search(self, start: int, nodes: tuple[int, ...], key: bytes) -> int:
        """Returns the position of the child to go to: the last one whose key is not greater."""
        low, high = 1, len(nodes)  # the key of the first child is empty
        while low < high:
            middle = (low + high) // 2
            if self._read_key(start + nodes[middle]) <= key:
                low = middle + 1
            else:
                high = middle
        return low - 1

    def _find_value(self, start: int, nodes: tuple[int, ...], key: bytes) -> bytes | None:
        place = start + nodes[self._search(start, nodes, key)]
        if self._read_key(place) != key:
            return None
        low, high, flags, key_size = NODE.unpack_from(self._data, place)
        size, begin = low | high << 16, place + NODE.size + key_size
        if flags & BIG:
            (number,) = struct.unpack_from("<Q", self._data, begin)
            begin = number * self._page_size + PAGE.size
        if begin + size > len(self._data):
            raise ValueError(f"a value of {size} bytes is beyond its end")
        return self._data[begin : begin + size]

    def _read_key(self, place: int) -> bytes:
        *_, size = NODE.unpack_from(self._data, place)
        return self._data[place + NODE.size : place + NODE.size + size]
