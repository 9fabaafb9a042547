"""Tests the notebooks of `colabs/`: their pairs of files, their installation, and that they run."""

import subprocess
import sys
import tomllib
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import MagicMock

import jupytext
import nbformat
import pytest
from nbclient import NotebookClient
from packaging.requirements import Requirement

import dfjax

FOLDER = Path(__file__).resolve().parent.parent / "colabs"
NAMES = sorted(path.stem for path in FOLDER.glob("*.ipynb"))
MARKS = {"export_to_benchmarks": pytest.mark.export}  # torch writes the file of DeepfakeBench
PICTURES = {"image/png", "image/jpeg"}


def read(name):
    return nbformat.read(FOLDER / f"{name}.ipynb", as_version=4)


def test_every_notebook_has_its_script():
    assert NAMES == sorted(path.stem for path in FOLDER.glob("*.py"))
    assert set(NAMES) == {
        "quickstart", "bring_your_videos", "train_on_accelerator", "defake_and_harden",
        "your_own_detector", "finetune_clip", "export_to_benchmarks",
    }  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_both_files_have_the_same_cells_and_no_outputs(name):
    """`jupytext --sync colabs/*.py` makes them equal."""
    notebook, script = read(name), jupytext.read(FOLDER / f"{name}.py")
    assert [(c.cell_type, c.source) for c in notebook.cells] == [
        (c.cell_type, c.source) for c in script.cells
    ]
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert all(not cell.outputs and cell.execution_count is None for cell in code)
    nbformat.validate(notebook)


@pytest.mark.parametrize("name", NAMES)
def test_the_readme_opens_it_in_colab(name, root):
    (address,) = {
        word
        for word in read(name).cells[0].source.replace(")", " ").replace("(", " ").split()
        if word.endswith(".ipynb")
    }
    assert address.startswith("https://colab.research.google.com/github/")
    assert address.endswith(f"/colabs/{name}.ipynb")
    assert f"({address})" in (root / "README.md").read_text()


@pytest.mark.parametrize(
    ("files", "extra"),
    [((), ""), (("/dev/vfio/0",), "tpu"), (("/dev/accel0",), "tpu"),
     (("/proc/driver/nvidia/version",), "cuda12"), (("/dev/vfio/vfio",), "")],
)  # fmt: skip
@pytest.mark.parametrize("name", NAMES)
def test_the_first_cell_installs_this_version_for_the_accelerator(
    name, files, extra, root, monkeypatch, tmp_path
):
    made = [tmp_path / file[1:] for file in files]
    for file in made:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()
    calls = []
    monkeypatch.setattr(subprocess, "run", lambda command, check: calls.append(command))
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    first = next(cell for cell in read(name).cells if cell.cell_type == "code")
    moved = first.source.replace('Path("/', f'Path("{tmp_path}/')
    exec(compile(moved, name, "exec"), {})
    (command,) = calls
    assert command[:4] == [sys.executable, "-m", "pip", "install"]
    wanted = Requirement(command[-1])
    assert (wanted.name, str(wanted.specifier)) == ("dfjax", f"=={dfjax.__version__}")
    known = tomllib.loads((root / "pyproject.toml").read_text())["project"]
    assert wanted.extras <= set(known["optional-dependencies"])
    assert wanted.extras == ({extra} if extra else set())


def read_code(name, part):
    """Returns the only code cell of a notebook that has a part in it."""
    cells = [cell.source for cell in read(name).cells if cell.cell_type == "code"]
    (found,) = [source for source in cells if part in source]
    return found


def fail(*args):
    raise ConnectionError("no route to the hub")


@pytest.mark.parametrize("hub", [None, SimpleNamespace(hf_hub_download=fail)])
def test_clip_without_a_network_or_a_client_is_a_small_random_network(hub, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "huggingface_hub", hub)
    source = read_code("finetune_clip", "hf_hub_download").replace('"smoke"  #', '"full"  #')
    names = {}
    exec(compile(source, "finetune_clip", "exec"), names)
    assert (names["size"], names["clip"]) == ("full", "")
    first, last = capsys.readouterr().out.splitlines()
    assert first.startswith("CLIP cannot be downloaded: ")
    assert last == "starting from RANDOM weights of a small network"


@pytest.mark.parametrize("clip,frames", [("clip_l14.safetensors", 32), ("", 16)])
def test_clip_is_trained_in_parts_that_fit_16_gb(clip, frames):
    configs = []

    def train(config, workdir):
        configs.append(config)
        return MagicMock()

    package = SimpleNamespace(load_config=dfjax.load_config, train=train)
    names = {"clip": clip, "pack": "", "dfjax": package}
    exec(compile(read_code("finetune_clip", "ways = {"), "finetune_clip", "exec"), names)
    assert [config.name for config in configs] == ["gend", "gend", "effort"]
    assert [config.adapter.name for config in configs] == ["none", "lora", "svd"]
    for config in configs:
        assert config.model.frame_classifier.backbone == ("clip_l14" if clip else "clip_t8")
        assert config.train.batch_size / config.train.accumulate <= frames
        assert config.train.epochs <= 3


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The folder that all notebooks run in, so that they draw one data set."""
    return tmp_path_factory.mktemp("runtime")


@pytest.fixture
def run(folder, monkeypatch):
    """A function that runs a notebook in a kernel of its own and returns its outputs."""
    monkeypatch.setenv("XLA_FLAGS", "--xla_force_host_platform_device_count=2")
    monkeypatch.setenv("JAX_DISABLE_MOST_OPTIMIZATIONS", "1")
    monkeypatch.delenv("MPLBACKEND", raising=False)

    def execute(name):
        notebook = read(name)
        where = {"metadata": {"path": str(folder)}}
        NotebookClient(notebook, timeout=1000, kernel_name="python3", resources=where).execute()
        code = [cell for cell in notebook.cells if cell.cell_type == "code"]
        return [output for cell in code for output in cell.outputs]

    return execute


def list_pictures(outputs):
    """Returns the outputs that show a picture, a film, a chart or a page."""
    data = [output.get("data", {}) for output in outputs]
    marks = ("<img", "<svg", "<video", "<iframe")
    html = [d for d in data if any(mark in d.get("text/html", "") for mark in marks)]
    return [*(d for d in data if PICTURES & d.keys()), *html]


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=MARKS.get(n, pytest.mark.slow)) for n in NAMES]
)
def test_it_runs_to_the_end_on_a_cpu_without_a_download(name, run):
    outputs = run(name)
    assert list_pictures(outputs)
    assert not [o for o in outputs if o.output_type == "error"]
