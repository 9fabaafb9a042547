"""What is done to good files: to their bytes, and to the JSON in them. Each takes its `rng`."""

import copy
import json
import os
import pickle
import zlib

from hostile_checks import CANARY


class Payload:
    """Imports and runs something when it is unpickled."""

    def __reduce__(self):
        return os.system, (f"touch {CANARY}",)


def flip(data, rng):
    damaged = bytearray(data)
    for _ in range(rng.choice((1, 3, 30, 300))):
        damaged[rng.randrange(len(damaged))] ^= 1 << rng.randrange(8)
    return bytes(damaged)


def cut(data, rng):
    return data[: int(len(data) * rng.random())]


def behead(data, rng):
    return data[1 + int(len(data) * rng.random() * 0.5) :]


def blank(data, rng):
    start = rng.randrange(len(data))
    stop = min(len(data), start + rng.choice((4, 64, 1024, len(data))))
    return data[:start] + bytes(rng.choice((b"\0", b"\xff"))) * (stop - start) + data[stop:]


def splice(data, rng):
    start, stop = sorted(rng.randrange(len(data)) for _ in range(2))
    place = rng.randrange(len(data))
    return data[:place] + data[start:stop] + data[place:]


def drop(data, rng):
    start = rng.randrange(len(data))
    return data[:start] + data[start + rng.choice((1, 7, 100, 5000)) :]


def noise(data, rng):
    start = rng.randrange(len(data))
    return data[:start] + rng.randbytes(rng.choice((1, 16, 512))) + data[start:]


def number(data, rng):
    """Puts an extreme number over 2, 4 or 8 bytes, near the start, where headers are."""
    width = rng.choice((2, 4, 8))
    place = rng.randrange(min(len(data), rng.choice((64, 512, len(data)))))
    value = rng.choice((0, 1, 2 ** (8 * width - 1), 2 ** (8 * width) - 1, 2 ** (8 * width - 2)))
    raw = value.to_bytes(width, rng.choice(("big", "little")))
    return data[:place] + raw + data[place + width :]


def twice(data, rng):
    return data * rng.choice((2, 3))


def other(data, rng):
    """Replaces everything with another kind of file."""
    kinds = (
        b"",
        b"\0" * 4096,
        b"PK\3\4" + rng.randbytes(200),
        b"\x7fELF\2\1\1" + rng.randbytes(200),
        b"PAR1" + rng.randbytes(300) + b"PAR1",
        zlib.compress(b"\0" * 1_000_000),
        pickle.dumps(Payload()),
        b"\x93NUMPY\1\0v\0{'descr': '|O', 'fortran_order': False, 'shape': (1,)}" + b" " * 60
        + pickle.dumps([Payload()]),
        f"import {CANARY}\n".encode(),
        b"#!/bin/sh\ntouch " + CANARY.encode(),
        "\ufefftext \u202e ñ".encode("utf-16"),
    )  # fmt: skip
    return rng.choice(kinds)


BYTES = {
    f.__name__: f
    for f in (flip, cut, behead, blank, splice, drop, noise, number, twice, other)
}  # fmt: skip


def odd_value(rng):
    """A value of another type, size or intent than any program expects."""
    return rng.choice(
        (
            *(None, True, False, 0, -1, 1, 3, 2**31, -(2**63), 2**64, 10**400, 0.5, -0.0, 1e308),
            *(float("nan"), float("inf"), "", " ", "nan", "0", "None", "real", "é\u202eé", "\0"),
            *("a\nb\x1b[31m", "x" * 5000, "../../../../etc/passwd", "/etc/passwd", "//host/x"),
            *(f"{CANARY}:attack", f"{CANARY}.attack", "http://127.0.0.1:9/x", "os:system"),
            *([], {}, [[]], [None], [1, "a", None], {"a": {"b": []}}, [[1, 2], [3]], [0] * 10_000),
            *({CANARY: CANARY}, {"__class__": "os.system"}, {"": ""}, _nested(400)),
        )
    )


def _nested(depth):
    value = []
    for _ in range(depth):
        value = [value]
    return value


def places(value, path=()):
    """Every path in a JSON value: of the value itself, of its members, of theirs."""
    yield path
    if isinstance(value, dict | list):
        for key, member in value.items() if isinstance(value, dict) else enumerate(value):
            yield from places(member, (*path, key))


def _parent(value, path):
    for key in path[:-1]:
        value = value[key]
    return value


def replace_value(value, rng):
    """Puts an odd value somewhere."""
    path = rng.choice([p for p in places(value) if p] or [()])
    if not path:
        return odd_value(rng)
    _parent(value, path)[path[-1]] = odd_value(rng)
    return value


def remove_value(value, rng):
    path = rng.choice([p for p in places(value) if p] or [()])
    if not path:
        return None
    del _parent(value, path)[path[-1]]
    return value


def add_value(value, rng):
    paths = [p for p in places(value) if isinstance(_get(value, p), dict | list)]
    node = _get(value, rng.choice(paths or [()]))
    if isinstance(node, dict):
        keys = ("", "a.b", "__init__", CANARY, "é", "x" * 300, "name", "type", "/etc")
        node[rng.choice(keys)] = odd_value(rng)
    elif isinstance(node, list):
        node.insert(rng.randint(0, len(node)), odd_value(rng))
    return value


def change_type(value, rng):
    """Gives a leaf the same content in another type: text for a number, a list around it."""
    paths = [p for p in places(value) if p]
    if not paths:
        return [value]
    path = rng.choice(paths)
    node = _get(value, path)
    changed = rng.choice(
        (str(node), [node], {"value": node}, [node, node], repr(node).encode().hex())
    )
    _parent(value, path)[path[-1]] = changed
    return value


def exchange(value, rng):
    """Swaps two members."""
    paths = [p for p in places(value) if len(p) == 1]
    if len(paths) > 1:
        (a,), (b,) = rng.sample(paths, 2)
        value[a], value[b] = value[b], value[a]
    return value


def _get(value, path):
    for key in path:
        value = value[key]
    return value


def write_oddly(value, rng):
    """The same content in text that readers trip over."""
    text = json.dumps(value)
    return rng.choice(
        (
            "", " ", "{", "[]", "null", "{}", '""', "0", "NaN", text[: len(text) // 2], text + text,
            text + "garbage", "\ufeff" + text, text.replace(":", ": \0"), "'" + text + "'",
            text.encode("utf-16"), text.encode().replace(b'"', b'"\xff\xe9', 3),
            "[" * 100_000, '{"a":' * 50_000, text[:-1] + ", " + text[1:], f"import {CANARY}",
            pickle.dumps(Payload()), text.replace("0", "0" * 5000),
            text[:-1] + ',"x":' + "9" * 9000 + "}",
        )
    )  # fmt: skip


JSON = {
    f.__name__: f
    for f in (replace_value, remove_value, add_value, change_type, exchange, write_oddly)
}


def mutate_json(value, operation, rng):
    """A file's content after one operation on the JSON value in it."""
    changed = JSON[operation](copy.deepcopy(value), rng)
    if operation == "write_oddly":
        return changed if isinstance(changed, bytes) else changed.encode("utf-8", "surrogatepass")
    text = json.dumps(changed, ensure_ascii=rng.random() < 0.5)
    return text.encode("utf-8", "surrogatepass")


def rewrite(path, data):
    """Replaces a file, which may be a hard link that others share."""
    path.unlink(missing_ok=True)
    path.write_bytes(data)
