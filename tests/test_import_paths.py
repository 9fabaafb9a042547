"""Tests import paths: names from the user are imported, names from saved files are not."""

import sys

import pytest

from dfjax.errors import UsageError
from dfjax.import_paths import allow_import, find, is_import_path, register
from dfjax.losses.registry import make_loss


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A package `own_code` that is importable, and not imported."""
    folder = tmp_path / "own_code"
    folder.mkdir()
    (folder / "__init__.py").write_text("")
    (folder / "parts.py").write_text("class Part:\n    class Inner:\n        pass\n")
    (folder / "broken.py").write_text("import a_module_that_is_not_installed\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    yield "own_code"
    for name in [name for name in sys.modules if name.split(".")[0] == "own_code"]:
        del sys.modules[name]


def test_finding_imports_nothing(package):
    with pytest.raises(UsageError, match="own_code.parts:Part is not imported. Import own_code"):
        find("own_code.parts:Part")
    assert not any(name.startswith("own_code") for name in sys.modules)
    allow_import("own_code.parts:Part")
    assert find("own_code.parts:Part") is sys.modules["own_code.parts"].Part
    assert find("own_code.parts:Part.Inner").__name__ == "Inner"
    with pytest.raises(UsageError, match="has no 'Prat'.*Did you mean 'Part'"):
        find("own_code.parts:Prat")


def test_a_lazy_attribute_of_a_module_is_not_resolved(monkeypatch):
    """`dfjax.__getattr__` would import what is asked for; a saved name must not reach it."""
    monkeypatch.delitem(vars(sys.modules["dfjax"]), "load_config", raising=False)
    with pytest.raises(UsageError, match="has no 'load_config'"):
        find("dfjax:load_config")


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("own_code.absent:Part", "No module named 'own_code.absent'"),
        ("own_code.broken:Part", "a_module_that_is_not_installed"),
        (":Part", "not an import path"),
        (".parts:Part", "not an import path"),
        ("own_code.parts:", "not an import path"),
    ],
)
def test_what_cannot_be_imported_is_one_clear_error(package, path, message):
    with pytest.raises(UsageError, match=message):
        allow_import(path)


def test_the_current_folder_is_searched(tmp_path, monkeypatch):
    (tmp_path / "beside_the_config.py").write_text("WIDTH = 3\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [entry for entry in sys.path if entry])
    allow_import("beside_the_config")
    assert find("beside_the_config:WIDTH") == 3
    del sys.modules["beside_the_config"]


def test_a_registered_object_is_found_where_its_module_does_not_hold_it():
    def make():
        class Local:
            pass

        return Local

    first, second = make(), make()
    path = register(first)
    assert is_import_path(path) and not is_import_path("dual_stream")
    assert find(path) is first
    assert register(second) == path and find(path) is second  # a notebook's cell that ran again
    with pytest.raises(UsageError, match="define it as in the script of the run"):
        find("__main__:NeverDefined")


@pytest.mark.parametrize(
    "path",
    ["os:abort", "os:_exit", "subprocess:Popen", "builtins:exec", "dfjax.files:os.abort"]
    + ["dfjax.files:os", "dfjax.files:contextmanager", "pytest:main.__globals__"],
)
def test_a_saved_name_does_not_reach_the_standard_library(path):
    """A received workdir with `loss.name=os:abort` would end the process that loads it."""
    with pytest.raises(UsageError, match="is part of Python|has no"):
        find(path)


def test_a_saved_loss_of_the_standard_library_is_not_called():
    with pytest.raises(UsageError, match="os:abort is part of Python"):
        make_loss("os:abort")
