import json

import pytest

from dfjax.commands.main import main
from dfjax.config import load_config

KEYS = {
    "peer", "version", "source", "workload", "mode", "batch", "frames", "size", "device", "dtype",
    "compile", "median_s", "items_per_s", "user_s", "system_s", "peak_bytes", "params", "compile_s",
}  # fmt: skip


def bench(capsys, *arguments):
    assert main(["bench", *arguments, "--steps", "1", "--json"]) == 0
    return json.loads(capsys.readouterr().out.splitlines()[-1])


def test_training_reports_the_contract(capsys):
    result = bench(capsys, "convlstm", "--mode", "train", "--batch", "1", "--frames", "2")
    assert KEYS <= set(result)
    assert (result["peer"], result["source"], result["compile"]) == ("dfjax", "dfjax", True)
    assert result["params"] == 9 * (1792 + 256) * 1024 + 1024
    assert result["peak_bytes"] > 3 * 4 * result["params"]  # parameters and Adam's two moments
    assert result["items_per_s"] == pytest.approx(1 / result["median_s"])


@pytest.mark.slow
def test_an_item_of_a_frame_workload_is_an_image(capsys):
    result = bench(capsys, "b0", "--batch", "2", "--size", "32", "--lowering", "native")
    assert result["params"] == 4_007_548 + 1280
    assert result["items_per_s"] == pytest.approx(2 / result["median_s"])


@pytest.mark.parity
def test_the_peer_runs_in_turn_and_gives_a_ratio(capsys):
    result = bench(capsys, "convlstm", "--batch", "1", "--frames", "1", "--compare", "torch")
    peer = result["torch"]
    assert result["ratio"] == pytest.approx(peer["median_s"] / result["median_s"])
    assert 0 < peer["user_s"] and 0 < result["user_s"]


def test_unet_takes_images(capsys):
    result = bench(capsys, "unet", "--batch", "3", "--size", "16", "--lowering", "native")
    assert result["params"] == 7_785_859  # of the PyTorch peer
    assert result["items_per_s"] == pytest.approx(3 / result["median_s"])


def test_input_races_png_files_and_watches_memory(capsys):
    settings = ("--clips", "2000", "--batch", "4", "--frames", "2", "--size", "16")
    result = bench(capsys, "input", *settings)
    assert KEYS <= set(result)
    assert result["size"] == 16 and result["dtype"] == "uint8" and not result["compile"]
    assert result["ratio"] == pytest.approx(result["png"]["median_s"] / result["median_s"])
    growth = 100 * (result["late_bytes"] / result["early_bytes"] - 1)
    assert result["growth_percent"] == pytest.approx(growth)


def test_wrong_usage(capsys):
    assert main(["bench", "b0", "--batch", "0"]) == 2
    assert main(["bench", "b1"]) == 2
    assert main(["bench", "input", "--compare", "torch"]) == 2
    assert main(["bench", "all", "--batch", "2"]) == 2
    assert main(["bench"]) == 2
    assert main(["bench", "b0", "--workdir", "runs/first"]) == 2
    assert main(["bench", "two_stream", "--compare", "torch"]) == 2
    assert main(["bench", "b0", "--all"]) == 2  # not a video
    assert main(["bench", "predict", "--workdir", "runs/first", "--size", "64"]) == 2
    error = capsys.readouterr().err
    assert "Traceback" not in error and "must be at least 1, not 0" in error


@pytest.mark.slow
def test_defake_is_the_step_of_both_networks(capsys, monkeypatch):
    from dfjax.bench import generator_step

    def load_small(name, settings):
        return load_config(f"{name}:smoke", settings)  # compiles fast

    monkeypatch.setattr(generator_step, "load_config", load_small)
    sizes = ("--batch", "1", "--frames", "1", "--size", "32", "--lowering", "native")
    result = bench(capsys, "defake", *sizes)
    assert KEYS <= set(result) and result["params"] == 53_731
    trained = bench(capsys, "defake", "--mode", "train", *sizes)
    discriminator = 16 * (4 * 4 * 3 + 1) + (4 * 4 * 16 + 1)
    assert trained["params"] == 53_731 + discriminator
    assert trained["peak_bytes"] > 4 * 4 * trained["params"]  # EMA and moments, VGG16 besides
    assert main(["bench", "defake", "--compare", "torch"]) == 2
