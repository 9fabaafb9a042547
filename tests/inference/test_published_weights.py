"""MesoNet with its published weights, against a forward pass in NumPy of the published file."""

import json

import cv2
import h5py
import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

import dfjax
from dfjax.commands.main import main

pytestmark = pytest.mark.weights

FILES = {  # trained on Deepfakes (DF) and on Face2Face (F2F)
    "Meso4_DF.h5": "meso4",
    "Meso4_F2F.h5": "meso4",
    "MesoInception_DF.h5": "mesoinception4",
    "MesoInception_F2F.h5": "mesoinception4",
}


def read(path):
    """The arrays of the layers with weights, in the order in which the layers were made."""
    with h5py.File(path) as file:
        layers = {}
        for name, group in file.items():
            arrays = {
                path.split("/")[-1].split(":")[0]: np.float64(group[path][()])
                for path in map(bytes.decode, group.attrs["weight_names"])
            }
            if arrays:
                layers.setdefault(name.rpartition("_")[0], []).append((name, arrays))
    in_order = {
        kind: [a for _, a in sorted(each, key=lambda pair: int(pair[0].rpartition("_")[2]))]
        for kind, each in layers.items()
    }
    return in_order["conv2d"], in_order["batch_normalization"], in_order["dense"]


def convolve(x, layer, dilation=1):
    kernel = layer["kernel"]
    around = dilation * (len(kernel) // 2)
    padded = np.pad(x, ((0, 0), (around, around), (around, around), (0, 0)))
    out = np.zeros((*x.shape[:3], kernel.shape[-1])) + layer["bias"]
    for i, row in enumerate(kernel):
        for j, tap in enumerate(row):
            y, z = i * dilation, j * dilation
            out += padded[:, y : y + x.shape[1], z : z + x.shape[2]] @ tap
    return np.maximum(out, 0)


def finish(x, norm, side):
    x = (x - norm["moving_mean"]) / np.sqrt(norm["moving_variance"] + 1e-3)
    x = x * norm["gamma"] + norm["beta"]
    n, h, w, c = x.shape
    return x.reshape(n, h // side, side, w // side, side, c).max((2, 4))


def inception(x, layers):
    first, *pairs = layers[0], *zip(layers[1::2], layers[2::2])
    branches = [convolve(x, first)]
    for dilation, (reduce, wide) in enumerate(pairs, 1):
        branches.append(convolve(convolve(x, reduce), wide, dilation))
    return np.concatenate(branches, -1)


def published_real_prob(path, frames):
    """The output of the published network for u8 frames, which is the probability of real."""
    convs, norms, dense = read(path)
    x = frames / 255.0
    if len(convs) == 4:
        x = finish(convolve(x, convs[0]), norms[0], 2)
        x = finish(convolve(x, convs[1]), norms[1], 2)
    else:
        x = finish(inception(x, convs[:7]), norms[0], 2)
        x = finish(inception(x, convs[7:14]), norms[1], 2)
    x = finish(convolve(x, convs[-2]), norms[2], 2)
    x = finish(convolve(x, convs[-1]), norms[3], 4)
    x = x.reshape(len(x), -1) @ dense[0]["kernel"] + dense[0]["bias"]
    x = np.where(x > 0, x, 0.1 * x) @ dense[1]["kernel"] + dense[1]["bias"]
    return 1 / (1 + np.exp(-x[:, 0]))


def mark(file):
    """Marks half of the files, which have the networks of the others, as slow."""
    return pytest.param(file, marks=[pytest.mark.slow] if "F2F" in file else [])


@pytest.fixture(scope="module", params=map(mark, FILES))
def imported(request, tmp_path_factory, weights):
    """Name of the model, its published file and the imported file."""
    name, source = FILES[request.param], weights / request.param
    out = tmp_path_factory.mktemp("imported") / f"{name}.safetensors"
    arguments = ["--from", "keras", str(source), "--model", name, "--out", str(out)]
    assert main(["weights", "import", *arguments]) == 0
    return name, source, out


def test_it_computes_what_the_published_file_does(imported):
    _, source, out = imported
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 256, (3, 256, 256, 3), np.uint8)
    smooth = np.stack([cv2.GaussianBlur(image, (0, 0), 8) for image in noise])
    frames = np.concatenate([noise, smooth])
    detector = dfjax.load(out)
    expected = 1 - published_real_prob(source, frames)
    assert np.ptp(expected) > 0.01
    np.testing.assert_allclose(detector.predict(frames[:, None]), expected, rtol=0, atol=1e-5)


@pytest.mark.slow
@pytest.mark.samples
def test_fakes_score_higher_than_reals(imported, samples, capsys):
    name, _, out = imported
    faces = samples / "dfdc_faces"
    table = pd.read_csv(faces / "faces.csv").iloc[:120]
    images = [cv2.imread(str(faces / path))[:, :, ::-1] for path in table["path"]]
    frames = np.stack([cv2.resize(image, (256, 256)) for image in images])
    scores = dfjax.load(out).predict(frames[:, None])
    assert roc_auc_score(table["label"].to_numpy(), scores) > 0.5
    clip = samples / "ffpp/manipulated_sequences/Deepfakes/c23/videos/519_515.mp4"
    capsys.readouterr()
    arguments = ["--weights", str(out), "--model", name, str(clip), "--clips", "2", "--json"]
    assert main(["predict", *arguments]) == 0
    (result,) = json.loads(capsys.readouterr().out.splitlines()[-1])["results"]
    assert result["verdict"] in ("real", "fake") and result["faces_missed"] == 0
