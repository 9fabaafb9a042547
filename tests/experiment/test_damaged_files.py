"""Damaged JSON files of a workdir or a prepared folder are one line that says what to do."""

import pytest

from dfjax.errors import FileError
from dfjax.experiment import prepare
from dfjax.experiment.data_audit import read_report
from dfjax.experiment.objective import load_methods
from dfjax.experiment.prepare_plan import make_plan

DAMAGED = ["", "{", "null", "3", "[[]]", '{"a": 1, "a": 2}', "\udcff", "[" * 9999]


def damage(path, text):
    path.write_text(text, encoding="utf-8", errors="surrogateescape")


@pytest.mark.parametrize("text", [*DAMAGED, "[]", "{}", '{"findings": 3}'])
def test_the_report_of_an_audit(tmp_path, text):
    assert read_report(tmp_path) is None
    damage(tmp_path / "audit.json", text)
    with pytest.raises(FileError, match=r"audit.json is damaged: .*delete it"):
        read_report(tmp_path)


@pytest.mark.parametrize("text", [*DAMAGED, "[1]"])
def test_the_names_of_methods(tmp_path, text):
    assert load_methods(tmp_path) == []
    damage(tmp_path / "methods.json", text)
    with pytest.raises(FileError, match=r"methods.json is damaged: "):
        load_methods(tmp_path)


@pytest.mark.parametrize("text", [*DAMAGED, "[]"])
def test_the_arguments_of_a_preparation(tmp_path, text):
    damage(tmp_path / "prepare.json", text)
    with pytest.raises(FileError, match=r"prepare.json is damaged: .*choose another folder"):
        prepare._claim(make_plan("folder", detector="none"), tmp_path, tmp_path)
