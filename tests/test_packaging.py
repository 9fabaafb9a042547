"""The wheel has every module, every config and the licence, and works once it is installed."""

import shutil
import subprocess
import sys
import tomllib
import zipfile

import pytest
from packaging.requirements import Requirement

from dfjax.bench.environment import JAX_PLATFORM
from dfjax.config import config_names


def pip(*arguments):
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def wheel(root, tmp_path_factory):
    """A wheel, built by the installed setuptools from a copy, so that the checkout stays clean."""
    folder = tmp_path_factory.mktemp("wheel")
    for name in ("dfjax", "configs"):
        ignore = shutil.ignore_patterns("__pycache__")
        shutil.copytree(root / name, folder / "source" / name, ignore=ignore)
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(root / name, folder / "source")
    pip("wheel", "--no-deps", "--no-build-isolation", "-w", folder, folder / "source")
    (wheel,) = folder.glob("dfjax-*.whl")
    return wheel


def test_the_wheel_holds_package_configs_and_licence(wheel, root):
    with zipfile.ZipFile(wheel) as file:
        names = set(file.namelist())
    for pattern in ("**/*.py", "exporting/page/*"):
        files = {str(path.relative_to(root)) for path in (root / "dfjax").glob(pattern)}
        assert files and files <= names
    for config in config_names():
        assert any(name.endswith(f"share/dfjax/configs/{config}.py") for name in names)
    assert any(name.endswith("LICENSE") for name in names)
    assert not any(name.startswith(("tests/", "configs/", "launch/")) for name in names)


@pytest.mark.parametrize("how", ["--prefix", "--target"])
def test_configs_are_found_by_name_from_an_installed_wheel(how, wheel, tmp_path):
    place = tmp_path / "installed"
    # Without --ignore-installed, pip would first remove the checkout from the environment.
    pip("install", "--ignore-installed", "--no-deps", "--no-index", how, place, wheel)
    package = next(place.rglob("dfjax/config.py")).parent
    code = (
        "import dfjax.config as c; print(c.__file__); print(*c.config_names());"
        "print(c.find_config('dual_stream')); print(c.load_config('dual_stream:tiny').name)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env={"PYTHONPATH": str(package.parent), "PATH": ""},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    module, names, file, name = done.stdout.splitlines()
    assert module == str(package / "config.py")
    assert names.split() == config_names()
    assert file.startswith(str(place))
    assert name == "dual_stream"


def test_the_command_is_installed(wheel):
    with zipfile.ZipFile(wheel) as file:
        (entry,) = (name for name in file.namelist() if name.endswith("entry_points.txt"))
        assert "dfjax = dfjax.commands.main:main" in file.read(entry).decode()


@pytest.fixture(scope="module")
def project(root):
    return tomllib.loads((root / "pyproject.toml").read_text())["project"]


def requirements(project):
    """Yields where each requirement is stated, and the requirement."""
    extras = project["optional-dependencies"].items()
    for where, texts in [("dependencies", project["dependencies"]), *extras]:
        for text in texts:
            yield where, Requirement(text)


def test_bounds_have_two_sides(project):
    """An unbounded JAX or Flax broke many a release long after it was made."""
    for where, requirement in requirements(project):
        operators = {bound.operator for bound in requirement.specifier}
        assert operators in ({"=="}, {">=", "<"}), f"{where}: {requirement}"


def test_every_accelerator_has_an_extra_with_the_bounds_of_jax(project):
    found = [(where, each) for where, each in requirements(project) if each.name == "jax"]
    accelerators = {where: each.extras for where, each in found if each.extras}
    same = {name: {name} for name in ("cuda12", "cuda13", "tpu")}
    assert accelerators == same | {"tpu-compiler": {"tpu"}}
    assert len({each.specifier for _, each in found}) == 1
    assert set(JAX_PLATFORM) <= set(accelerators)  # what doctor recommends
