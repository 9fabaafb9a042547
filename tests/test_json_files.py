"""Tests that invalid JSON files give a one-line error and no traceback."""

import json
import os

import pytest

from dfjax.errors import FileError, InputError, UsageError
from dfjax.json_files import MAX_DEPTH, parse_json, read_json

MANIFEST = {"crop_size": int, "files": {str: str}, "note?": (str, None)}
GOOD = {"crop_size": 8, "files": {"a": "b"}, "more": [1]}


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "it is empty"),
        (" \n", "it is empty"),
        ('{"crop_size": 8, "fi', "Unterminated string"),
        ("null", "its content is null, not an object"),
        ("[]", "its content is an array, not an object"),
        ("{}", "it has no crop_size"),
        ('{"crop_size": 8}', "it has no files"),
        ('{"crop_size": "8", "files": {}}', 'crop_size is "8", not a whole number'),
        ('{"crop_size": true, "files": {}}', "crop_size is true, not a whole number"),
        ('{"crop_size": 99999999999999999999, "files": {}}', "not a whole number"),
        ('{"crop_size": 8, "files": {"a": null}}', "files.'a' is null, not a text"),
        ('{"crop_size": 8, "files": {}, "note": 3}', "note is 3, not a text or null"),
        ('{"crop_size": 8, "files": {}, "crop_size": 9}', "the key 'crop_size' occurs twice"),
        ("[" * 100_000, "nested too deeply"),
        ("[" * (MAX_DEPTH + 1) + "]" * (MAX_DEPTH + 1), "nested too deeply"),
        ("1" * 5000, "digits"),
    ],
)
def test_damaged_files_are_one_line(tmp_path, text, reason):
    path = tmp_path / "checksums.json"
    path.write_text(text)
    with pytest.raises(FileError) as caught:
        read_json(path, MANIFEST, remedy="pack again")
    message = str(caught.value)
    assert reason in message and "\n" not in message
    assert message.startswith(f"{path} is damaged: ") and message.endswith("; pack again")
    assert isinstance(caught.value, InputError) and isinstance(caught.value, UsageError)


def test_good_files_are_returned_as_they_are(tmp_path):
    path = tmp_path / "a.json"
    path.write_text(json.dumps(GOOD), encoding="utf-8-sig")
    assert read_json(path, MANIFEST) == GOOD
    nested = "[" * MAX_DEPTH + "]" * MAX_DEPTH
    assert json.dumps(parse_json(nested, name="a")) == nested
    assert parse_json("NaN", float, name="a") != parse_json("NaN", float, name="a")
    assert parse_json("3", float, name="a") == 3


@pytest.mark.parametrize("number", ["Infinity", "1e999", "1" + "0" * 400])
def test_numbers_beyond_float64_are_refused(number):
    with pytest.raises(FileError, match="not a number"):
        parse_json(number, float, name="a")


def test_alternatives_name_the_place_inside():
    schema = [(None, {"box": [float]})]
    assert parse_json('[null, {"box": [1, 2.5]}]', schema, name="a")[0] is None
    with pytest.raises(FileError, match=r"\[1\].box\[0\] is \"x\", not a number"):
        parse_json('[null, {"box": ["x"]}]', schema, name="a")
    with pytest.raises(FileError, match=r"\[0\] is 3, not null or an object"):
        parse_json("[3]", schema, name="a")


def test_what_is_no_file_is_refused(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for name in ("pipe", ""):
        with pytest.raises(FileError, match="not a regular file"):
            read_json(tmp_path / name)
    with pytest.raises(FileError, match="cannot read .*absent: No such file"):
        read_json(tmp_path / "absent")
    (tmp_path / "latin").write_bytes(b'{"a": "\xe9"}')
    with pytest.raises(FileError, match="is damaged: .*utf-8"):
        read_json(tmp_path / "latin")
