"""Weights files of other programs, damaged or made to do harm, and then imported.

What is refused is refused in one line, and nothing is written; what is imported has the parameters
of the network, all of them finite. The network is Meso4, because it is small.
"""

import io
import json
import os
import pickle
import struct
import zipfile

import h5py
import jax
import numpy as np
import pytest
from hostile_cases import make_cases, over
from hostile_mutations import BYTES, Payload
from safetensors.numpy import save

from dfjax.config import load_config
from dfjax.experiment.builders import example_inputs, make_model
from dfjax.experiment.initial_backbones import find_files, load_backbones, use_conventions
from dfjax.weights.conversion import to_theirs
from dfjax.weights.fit import usual_fit
from dfjax.weights.origins.keras import name_layers
from dfjax.weights.registry import ORIGINS
from dfjax.weights.safetensors_file import flatten, load_safetensors
from dfjax.weights.target import detector_target

SIDE = 256
CLASSES = {"deepfakebench": 2, "keras": 1}
MEGABYTES = 1 << 20


def make_arrays(origin, model="meso4"):
    """Returns the arrays of a whole file of a program, with its names."""
    target = detector_target(model, {"classes": CLASSES[origin]}, size=SIDE)
    flat = {key: np.zeros(shape, np.float32) for key, shape in target.shapes.items()}
    return name_layers(to_theirs(flat, usual_fit(ORIGINS[origin], target).key_map))


def npz(arrays):
    file = io.BytesIO()
    np.savez(file, **arrays)
    return file.getvalue()


def h5(write):
    """Returns the content of an HDF5 file that a function fills."""
    file = io.BytesIO()
    with h5py.File(file, "w") as root:
        write(root)
    return file.getvalue()


def old_h5(arrays):
    return h5(lambda root: _write_layers(root, arrays))


def _write_layers(root, arrays):
    layers = {}
    for key in arrays:
        layers.setdefault(key.partition("/")[0], []).append(key)
    root.attrs["layer_names"] = list(map(str.encode, layers))
    for layer, keys in layers.items():
        root.create_group(layer).attrs["weight_names"] = list(map(str.encode, keys))
        for key in keys:
            root[layer].create_dataset(key, data=arrays[key])


def new_h5(arrays):
    """The layout of Keras 3."""
    order = {"gamma": 0, "beta": 1, "moving_mean": 2, "moving_variance": 3, "kernel": 0, "bias": 1}

    def write(root):
        for key, value in arrays.items():
            layer, weight = key.split("/")
            group = root.require_group(f"layers/{layer}/vars")
            group.create_dataset(str(order[weight]), data=value)

    return h5(write)


def zipped(members, compression=zipfile.ZIP_STORED):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", compression) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return file.getvalue()


def keras_zip(inner, **options):
    config = json.dumps({"config": {"layers": []}})
    return zipped({"config.json": config, "model.weights.h5": inner}, **options)


WHOLE = {  # program and content of whole files
    "npz": ("deepfakebench", npz),
    "safetensors": ("deepfakebench", save),
    "h5": ("keras", old_h5),
    "h5_of_keras3": ("keras", new_h5),
    "keras": ("keras", lambda arrays: keras_zip(new_h5(arrays))),
}


@pytest.fixture(scope="module")
def arrays():
    return {origin: make_arrays(origin) for origin in CLASSES}


@pytest.fixture(scope="module")
def shapes():
    """The shapes of the parameters of our detectors, by the program that a file is from."""
    return {
        origin: detector_target("meso4", {"classes": classes}, size=SIDE).shapes
        for origin, classes in CLASSES.items()
    }


def import_file(watch, origin, path, shapes, model="meso4"):
    """Imports a file and checks what holds for all of them; returns the outcome."""
    watch.out.mkdir(exist_ok=True)
    out = watch.out / "w.safetensors"
    outcome = watch.run(
        "weights", "import", "--from", origin, path, "--model", model, "--out", out, codes=(0, 1, 2)
    )
    left = sorted(p.name for p in watch.out.iterdir())
    watch.expect(left == ([out.name] if outcome.code == 0 else []), f"{left} is left")
    if outcome.code == 0:
        found = {key: value.shape for key, value in flatten(load_safetensors(out)[0]).items()}
        watch.expect(found == dict(shapes[origin]), "other parameters than those of the network")
    return outcome


@pytest.mark.parametrize("kind", WHOLE)
def test_whole_files(kind, watch, arrays, shapes):
    origin, write = WHOLE[kind]
    path = watch.inputs / "w"
    path.write_bytes(write(arrays[origin]))
    assert import_file(watch, origin, path, shapes).code == 0


@pytest.mark.slow
@pytest.mark.parametrize("kind", WHOLE)
@over(make_cases("import", BYTES, 4))
def test_damaged_bytes(kind, case, watch, arrays, shapes):
    origin, write = WHOLE[kind]
    path = watch.inputs / "w"
    path.write_bytes(BYTES[case.operation](write(arrays[origin]), case.rng()))
    import_file(watch, origin, path, shapes)


def first(arrays):
    return next(iter(arrays))


def change(arrays, value):
    return npz(arrays | {first(arrays): value(arrays[first(arrays)])})


def header_of(fields, size=0):
    """Returns a safetensors file with any header."""
    text = json.dumps(fields).encode()
    return struct.pack("<Q", len(text)) + text + bytes(size)


def encrypted(data):
    """Returns an archive whose members claim to be encrypted."""
    changed = bytearray(data)
    for mark, flags in ((b"PK\3\4", 6), (b"PK\1\2", 8)):
        start = -1
        while (start := changed.find(mark, start + 1)) >= 0:
            changed[start + flags] |= 1
    return bytes(changed)


def npy(shape, content=b""):
    header = repr({"descr": "<f4", "fortran_order": False, "shape": shape}).encode()
    header += b" " * (63 - (len(header) + 10) % 64) + b"\n"
    return b"\x93NUMPY\1\0" + struct.pack("<H", len(header)) + header + content


REFUSED = {  # what a message says, and a file of DeepfakeBench
    "nan": ("not finite", lambda a: change(a, lambda v: v * np.nan)),
    "infinite": ("not finite", lambda a: change(a, lambda v: v + np.inf)),
    "other_width": ("instead of", lambda a: change(a, lambda v: np.concatenate([v, v]))),
    "missing": ("1 key is missing", lambda a: npz(dict(list(a.items())[1:]))),
    "unexpected": ("1 key is not expected", lambda a: npz(a | {"more.weight": a[first(a)]})),
    "escape": ("1 key is not expected", lambda a: npz(a | {"../../\x1b[31m\n": a[first(a)]})),
    "long_name": ("1 key is not expected", lambda a: npz(a | {"x" * 9000: a[first(a)]})),
    "integers": ("floating-point", lambda a: change(a, lambda v: v.astype(np.int32))),
    "objects": ("not a readable .npz", lambda a: change(a, lambda v: v.astype(object))),
    "no_arrays": ("a is not an array", lambda a: zipped({"a.npy": b"text", "b.npy": b""})),
    "huge_npy": ("not a readable .npz", lambda a: zipped({"a.npy": npy((1 << 40, 1 << 20))})),
    "npy_without_data": ("not a readable .npz", lambda a: zipped({"a.npy": npy((1 << 28,))})),
    "npz_bomb": (
        "would unpack",
        lambda a: zipped(
            {"a.npy": npy((25 * MEGABYTES,), bytes(100 * MEGABYTES))}, zipfile.ZIP_DEFLATED
        ),
    ),
    "encrypted": ("not a readable .npz", lambda a: encrypted(npz(a))),
    "huge_safetensors": (
        "not a readable safetensors",
        lambda a: header_of({"a": {"dtype": "F32", "shape": [1 << 62], "data_offsets": [0, 4]}}, 4),
    ),
    "overflowing_safetensors": (
        "not a readable safetensors",
        lambda a: header_of(
            {"a": {"dtype": "F32", "shape": [1 << 62, 8], "data_offsets": [0, 0]}}, 0
        ),
    ),
    "overlapping_safetensors": (
        "not a readable safetensors",
        lambda a: header_of(
            {k: {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]} for k in "ab"}, 4
        ),
    ),
    "huge_header": ("not a readable safetensors", lambda a: struct.pack("<Q", 1 << 62) + b"{"),
    "float8": (
        "not a readable safetensors",
        lambda a: header_of({"a": {"dtype": "F8_E4M3", "shape": [1], "data_offsets": [0, 1]}}, 1),
    ),
    "of_keras": ("keys are those of keras", lambda a: npz(make_arrays("keras"))),
}


@pytest.mark.parametrize("case", REFUSED)
def test_files_of_torch_programs_that_are_refused(case, watch, arrays, shapes):
    words, write = REFUSED[case]
    path = watch.inputs / "w"
    path.write_bytes(write(arrays["deepfakebench"]))
    outcome = import_file(watch, "deepfakebench", path, shapes)
    assert outcome.code == 2 and words in outcome.err


def test_a_file_of_another_model(watch, shapes):
    path = watch.inputs / "w.npz"
    path.write_bytes(npz(make_arrays("deepfakebench", "mesoinception4")))
    outcome = import_file(watch, "deepfakebench", path, shapes)
    assert outcome.code == 2 and "are not those of meso4" in outcome.err
    outcome = import_file(watch, "keras", path, shapes)
    assert outcome.code == 2 and "no key of meso4 in the names of keras" in outcome.err


def layer(fill):
    """Returns an HDF5 file with one layer, which a function fills."""

    def write(root):
        root.attrs["layer_names"] = [b"a"]
        fill(root)

    return h5(write)


def dataset(**options):
    """Returns a file with one data set."""

    def fill(root):
        root.create_group("a").attrs["weight_names"] = [b"a/kernel"]
        root["a"].create_dataset("a/kernel", **options)

    return layer(fill)


def put(name, link):
    return layer(lambda root: root.__setitem__(name, link))


def virtual():
    def fill(root):
        root.create_group("a").attrs["weight_names"] = [b"a/kernel"]
        layout = h5py.VirtualLayout((2,), "f4")
        layout[:] = h5py.VirtualSource("/etc/hostname", "x", (2,))
        root["a"].create_virtual_dataset("a/kernel", layout)

    return layer(fill)


def group_for_dataset():
    def fill(root):
        root.create_group("a").attrs["weight_names"] = [b"a/kernel"]
        root["a"].create_group("a/kernel")

    return layer(fill)


def many_ways():
    """A group that contains itself under thirty names: 30^12 paths of twelve parts."""

    def write(root):
        group = root.create_group("layers/a")
        for number in range(30):
            group[f"x{number}"] = group

    return h5(write)


def odd_index():
    return h5(lambda root: root.create_dataset("layers/a/vars/77", data=np.ones(2)))


REFUSED_HDF5 = {
    "external_link": ("is a link", lambda: put("a", h5py.ExternalLink("/etc/hostname", "/"))),
    "soft_link": ("is a link", lambda: put("a", h5py.SoftLink("/"))),
    "external_data": (
        "refers to other files",
        lambda: dataset(shape=(2,), dtype="f4", external=[("/etc/hostname", 0, 8)]),
    ),
    "virtual_data": ("refers to other files", virtual),
    "group_for_data": ("not a readable Keras file", group_for_dataset),
    "text": ("weights are numbers", lambda: dataset(data=np.array([b"x", b"y"]))),
    "never_written": (
        "would unpack",
        lambda: dataset(shape=(1 << 29,), dtype="f4", chunks=(1 << 20,)),
    ),
    "packed_zeros": (
        "would unpack",
        lambda: dataset(data=np.zeros(25 * MEGABYTES, "f4"), chunks=True, compression="gzip"),
    ),
    "many_ways": ("has no weights of Keras", many_ways),
    "odd_index": ("not a readable Keras file", odd_index),
    "zip_bomb": (
        "would unpack",
        lambda: keras_zip(bytes(100 * MEGABYTES), compression=zipfile.ZIP_DEFLATED),
    ),
    "bad_config": ("config.json", lambda: zipped({"config.json": "[]", "model.weights.h5": "x"})),
    "no_config": ("not a readable Keras file", lambda: zipped({"model.weights.h5": "x"})),
    "no_hdf5": ("not a readable Keras file", lambda: keras_zip(b"text")),
}


@pytest.mark.parametrize("case", REFUSED_HDF5)
def test_files_of_keras_that_are_refused(case, watch, shapes):
    words, write = REFUSED_HDF5[case]
    path = watch.inputs / "w"
    path.write_bytes(write())
    outcome = import_file(watch, "keras", path, shapes)
    assert outcome.code == 2 and words in outcome.err


@pytest.mark.parametrize("kind", ["pipe", "folder", "device", "dangling", "pickle"])
def test_what_is_no_file_of_weights(kind, watch, shapes):
    path = watch.inputs / "w.pth"
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    elif kind == "pickle":
        path.write_bytes(pickle.dumps(Payload()))
    else:
        path.symlink_to("/dev/zero" if kind == "device" else "/nowhere")
    assert import_file(watch, "deepfakebench", path, shapes).code == 2


@pytest.fixture(scope="module")
def torch():
    import torch

    return torch


def itself():
    value = {}
    value["a"] = value
    return value


TORCH = {
    "runs_code": ("nothing in it was executed", lambda torch: {"a": Payload()}),
    "itself": ("not a readable torch file", lambda torch: itself()),
    "no_memory": ("not a readable torch file", lambda torch: {"a": torch.ones(2, device="meta")}),
    "expanded": ("at most", lambda torch: {"a": torch.ones(1).expand(1 << 20, 1 << 20)}),
    "sparse": ("holds no arrays", lambda torch: {"a": torch.eye(3).to_sparse()}),
    "complex": ("weights are real", lambda torch: {"a": torch.ones(2, dtype=torch.complex64)}),
    "list": ("not a state dict", lambda torch: [torch.ones(2)]),
    "names": ("no key of meso4", lambda torch: {1: torch.ones(2), ("a", 2): torch.ones(2)}),
    "nan": ("not finite", lambda torch: None),
}


@pytest.mark.parity
@pytest.mark.parametrize("zip_format", [True, False])
@pytest.mark.parametrize("case", TORCH)
def test_torch_files_that_are_refused(case, zip_format, watch, arrays, shapes, torch):
    words, make = TORCH[case]
    path, content = watch.inputs / "w.pth", make(torch)
    if case == "nan":
        whole = arrays["deepfakebench"]
        content = {k: torch.full(v.shape, torch.nan) for k, v in whole.items()}
    torch.save(content, path, _use_new_zipfile_serialization=zip_format)
    outcome = import_file(watch, "deepfakebench", path, shapes)
    assert outcome.code == 2 and words in outcome.err


@pytest.mark.parity
@pytest.mark.slow
@pytest.mark.parametrize("zip_format", [True, False])
@over(make_cases("torch", BYTES, 4))
def test_damaged_torch_files(case, zip_format, watch, arrays, shapes, torch):
    file = io.BytesIO()
    state = {k: torch.from_numpy(np.array(v)) for k, v in arrays["deepfakebench"].items()}
    torch.save(state, file, _use_new_zipfile_serialization=zip_format)
    path = watch.inputs / "w.pth"
    path.write_bytes(BYTES[case.operation](file.getvalue(), case.rng()))
    import_file(watch, "deepfakebench", path, shapes)


@pytest.fixture(scope="module")
def start():
    """Returns a function that reads the file of a training's backbone."""
    config = load_config("resnet18:smoke").copy_and_resolve_references()
    own = jax.eval_shape(make_model(config).init, jax.random.key(0), example_inputs(config))

    def read(path):
        started = config.copy_and_resolve_references()
        started.init.backbone = str(path)
        use_conventions(started)
        return load_backbones(find_files(started), own)

    own = jax.tree.map(lambda leaf: np.zeros(leaf.shape, np.float32), own)
    return read, {name: tree["backbone"] for name, tree in own.items()}


@over(make_cases("backbone", [*BYTES, "nan"], 3))
def test_files_that_a_training_starts_from(case, watch, start):
    read, variables = start
    flat = flatten(variables)
    if case.operation == "nan":
        flat[case.rng().choice(sorted(flat))][..., 0] = np.nan
    metadata = {"model": json.dumps("resnet18"), "format": json.dumps("dfjax")}
    data = save(flat, metadata)
    if case.operation != "nan":
        data = BYTES[case.operation](data, case.rng())
    path = watch.inputs / "w.safetensors"
    path.write_bytes(data)
    loaded = watch.call(read, path)
    if isinstance(loaded, Exception):
        return
    assert case.operation != "nan"
    found = {key: value.shape for key, value in flatten(loaded).items()}
    assert {key.replace("backbone.", "") for key in found} == set(flat)
