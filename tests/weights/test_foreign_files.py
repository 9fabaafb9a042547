"""Foreign files: formats, wrappers of keys, and input that must be refused with one line."""

import json
import zipfile

import h5py
import numpy as np
import pytest
from safetensors.numpy import save_file

from dfjax.commands.main import main
from dfjax.errors import FileError, UsageError
from dfjax.weights import foreign_file, limits
from dfjax.weights.entries import find_weights
from dfjax.weights.fit import usual_fit
from dfjax.weights.foreign_file import read_foreign
from dfjax.weights.keras_file import write_h5
from dfjax.weights.loading import load
from dfjax.weights.mismatch import MismatchError
from dfjax.weights.origins.keras import number_layers
from dfjax.weights.registry import ORIGINS
from dfjax.weights.safetensors_file import flatten, load_safetensors, unflatten
from dfjax.weights.saving import save
from dfjax.weights.target import backbone_target, detector_target

ONE = np.ones(2, np.float32)


@pytest.fixture(scope="module")
def resnet():
    """A small network, its parameters, and the same as torchvision has them."""
    target = backbone_target("resnet18", width=0.25, one_block=True)
    rng = np.random.default_rng(0)
    flat = {key: rng.normal(size=shape).astype(np.float32) for key, shape in target.shapes.items()}
    fit = usual_fit(ORIGINS["torchvision"], target)
    theirs = {entry.theirs: entry.to_theirs(flat[entry.ours]) for entry in fit.key_map.entries}
    return target, flat, theirs


def assert_loads(path, resnet, origin="torchvision", **options):
    target, flat, _ = resnet
    weights = load(path, origin, target, **options)
    loaded = flatten(weights.variables)
    assert all(np.array_equal(loaded[key], flat[key]) for key in flat)
    return " ".join(weights.notes)


@pytest.mark.parametrize("prefix", ["module.", "module.model.", "model.", "net.body."])
def test_prefixes(resnet, prefix, tmp_path):
    np.savez(tmp_path / "w.npz", **{prefix + key: value for key, value in resnet[2].items()})
    assert prefix.split(".")[0] in assert_loads(tmp_path / "w.npz", resnet)


def test_half_precision_and_the_classifier(resnet, tmp_path):
    arrays = resnet[2] | {"fc.weight": np.ones((1000, 128), np.float32), "fc.bias": ONE}
    arrays |= {"bn1.num_batches_tracked": np.int64(7)}
    save_file({key: np.asarray(value) for key, value in arrays.items()}, tmp_path / "w.st")
    said = "2 keys are left out: fc.bias, fc.weight (a backbone has no classifier)"
    assert said in assert_loads(tmp_path / "w.st", resnet)
    np.savez(tmp_path / "h.npz", **{key: v.astype(np.float16) for key, v in resnet[2].items()})
    loaded = flatten(load(tmp_path / "h.npz", "torchvision", resnet[0]).variables)
    kernel = resnet[1]["params.stem_conv.kernel"].astype(np.float16)
    np.testing.assert_array_equal(loaded["params.stem_conv.kernel"], kernel)
    assert loaded["params.stem_conv.kernel"].dtype == np.float32


def test_entries_and_averaged_copies():
    raw, mean = {"a.weight": ONE}, {"a.weight": 2 * ONE}
    found = find_weights({"epoch": {}, "net": raw, "opt": {"s": ONE}}, source="w")
    assert found.arrays["a.weight"] is raw["a.weight"] and "entry net" in found.notes[0]
    both = {"state_dict": raw, "state_dict_ema": mean}
    found = find_weights(both, source="w")
    assert found.arrays["a.weight"][0] == 2 and "averaged copy" in found.notes[0]
    assert find_weights(both, source="w", entry="state_dict").arrays["a.weight"][0] == 1
    with pytest.raises(UsageError, match="Valid: state_dict, state_dict_ema"):
        find_weights(both, source="w", entry="x")
    with pytest.raises(UsageError, match="several networks: give entry=g or d"):
        find_weights({"g": raw, "d": raw}, source="w")
    with pytest.raises(UsageError, match="holds no arrays"):
        find_weights({}, source="w")
    flat = {"model.a.weight": ONE, "model_ema.module.a.weight": 2 * ONE}
    found = find_weights(flat, source="w")
    assert {key: value[0] for key, value in found.arrays.items()} == {"a.weight": 2}


def test_projects_are_recognised_and_have_their_own_input(tmp_path):
    options = {"backbone": "b0", "width": 0.25, "one_block": True, "hidden": (), "dropout": ()}
    for project, classes in (("SBI", 2), ("ISPL", 1)):
        target = detector_target("frame_classifier", options | {"classes": classes}, size=64)
        flat = {key: np.ones(shape, np.float32) for key, shape in target.shapes.items()}
        fit = usual_fit(ORIGINS["efficientnet_pytorch"], target)
        wrapper = next(w for w in ORIGINS["efficientnet_pytorch"].wrappers if w.name == project)
        arrays = {wrapper.rename(e.theirs): e.to_theirs(flat[e.ours]) for e in fit.key_map.entries}
        np.savez(tmp_path / "w.npz", **arrays)
        weights = load(tmp_path / "w.npz", "efficientnet_pytorch", target)
        assert f"the names are those of {project}" in weights.notes and not weights.new
        mean = {"SBI": (0.0, 0.0, 0.0), "ISPL": (0.485, 0.456, 0.406)}[project]
        assert weights.convention.mean == mean
        assert weights.convention.size == {"SBI": 380, "ISPL": 224}[project]


def test_positive_real_negates_or_swaps(tmp_path):
    options = {"backbone": "resnet18", "width": 0.25, "one_block": True}
    options |= {"hidden": (), "dropout": ()}
    for classes in (1, 2):
        target = detector_target("frame_classifier", options | {"classes": classes}, size=64)
        flat = {key: np.ones(shape, np.float32) for key, shape in target.shapes.items()}
        bias = flat["params.logits.bias"] = np.arange(1, classes + 1, dtype=np.float32)
        convention = ORIGINS["timm"].networks["resnet18"].conventions["symmetric"]
        save(tmp_path / "w.npz", unflatten(flat), "timm", target, convention)
        weights = load(tmp_path / "w.npz", "timm", target, positive="real")
        np.testing.assert_array_equal(
            weights.variables["params"]["logits"]["bias"], -bias if classes == 1 else bias[::-1]
        )


def test_a_backbone_has_no_positive_class(resnet, tmp_path):
    np.savez(tmp_path / "w.npz", **resnet[2])
    with pytest.raises(UsageError, match="a backbone has none"):
        load(tmp_path / "w.npz", "torchvision", resnet[0], positive="real")


def test_keras_layouts_and_layers_without_names(tmp_path):
    arrays = {"conv2d_9/kernel": ONE, "conv2d_10/kernel": 2 * ONE, "named/bias": ONE}
    write_h5(tmp_path / "old.h5", arrays)
    assert read_foreign(tmp_path / "old.h5").format == "keras"
    with h5py.File(tmp_path / "new.h5", "w") as file:
        for folder, name, value in (
            ("conv2d_1", "conv2d_10", 2 * ONE),
            ("conv2d", "conv2d_9", ONE),
        ):
            group = file.create_group(f"layers/{folder}/vars")
            group.attrs["name"] = name
            group.create_dataset("0", data=value)
    for name in ("old.h5", "new.h5"):
        found = number_layers(read_foreign(tmp_path / name).content)
        assert found["conv2d#1/kernel"][0] == 1 and found["conv2d#2/kernel"][0] == 2
    config = {"config": {"layers": [{"class_name": "Conv2D", "config": {"name": "stem"}}]}}
    with h5py.File(tmp_path / "inner.h5", "w") as file:
        file.create_dataset("layers/conv2d/vars/0", data=ONE)
    with zipfile.ZipFile(tmp_path / "w.keras", "w") as archive:
        archive.writestr("config.json", json.dumps(config))
        archive.write(tmp_path / "inner.h5", "model.weights.h5")
    assert list(read_foreign(tmp_path / "w.keras").content) == ["stem/kernel"]


def refuse(path, words, capsys, *more):
    """Imports a file that must be refused, and checks that nothing is written."""
    out = path.with_name("out.safetensors")
    arguments = [str(path), "--model", "resnet18", "--out", str(out), *more]
    assert main(["weights", "import", "--from", "torchvision", *arguments]) == 2
    error = capsys.readouterr().err
    assert words in error and error.count("\n") == 1 and "Traceback" not in error
    assert not list(path.parent.glob("*out*")) and not list(path.parent.glob(".*"))


def test_bad_files_are_refused_with_one_line(resnet, tmp_path, capsys):
    good = tmp_path / "good.npz"
    np.savez(good, **resnet[2])
    refuse(good, "keys are missing", capsys)  # another width, fewer blocks
    for name, content, words in (
        ("cut.npz", good.read_bytes()[:-100], "damaged"),
        ("cut.h5", b"\x89HDF\r\n\x1a\n" + bytes(40), "not a readable Keras file"),
        ("cut.safetensors", b"\xff\0\0\0\0\0\0\0{", "not a readable safetensors file"),
    ):
        (tmp_path / name).write_bytes(content)
        refuse(tmp_path / name, words, capsys)
    np.savez(tmp_path / "objects.npz", a=np.array([{}], object))
    refuse(tmp_path / "objects.npz", "not a readable .npz", capsys)
    np.savez(tmp_path / "keras.npz", **{"stem_conv/kernel": ONE})
    refuse(tmp_path / "keras.npz", "its keys are those of keras", capsys)
    refuse(tmp_path / "absent.npz", "does not exist", capsys)
    refuse(good, "unknown class", capsys, "--positive", "maybe")


def test_links_and_sizes(tmp_path, monkeypatch):
    with h5py.File(tmp_path / "link.h5", "w") as file:
        file.attrs["layer_names"] = [b"a"]
        file["a"] = h5py.ExternalLink("/etc/hostname", "/")
    write_h5(tmp_path / "other.h5", {"a/kernel": ONE})
    with h5py.File(tmp_path / "root.h5", "w") as file:
        file["model_weights"] = h5py.ExternalLink(str(tmp_path / "other.h5"), "/")
    for name in ("link.h5", "root.h5"):
        with pytest.raises(FileError, match="is a link"):
            read_foreign(tmp_path / name)
    np.savez_compressed(tmp_path / "bomb.npz", a=np.zeros(100_000, np.float32))
    monkeypatch.setattr(limits, "MAX_BYTES", 50_000)
    with pytest.raises(FileError, match="at most"):
        foreign_file.read_foreign(tmp_path / "bomb.npz")


def test_a_head_is_new_only_when_asked(resnet, tmp_path):
    """A classifier of ImageNet is not the head of a detector; `new_head` leaves it out."""
    options = {"backbone": "resnet18", "width": 0.25, "one_block": True, "hidden": ()}
    options |= {"dropout": (), "classes": 1}
    target = detector_target("frame_classifier", options, size=64)
    imagenet = {"fc.weight": np.ones((1000, 128), np.float32), "fc.bias": np.ones(1000, np.float32)}
    path = tmp_path / "w.npz"
    np.savez(path, **resnet[2], **imagenet)
    message = r"fc.weight \(1000, 128\) instead of \(1, 128\).*; with new_head the layers above"
    with pytest.raises(MismatchError, match=message):
        load(path, "torchvision", target)
    weights = load(path, "torchvision", target, new_head=True)
    assert weights.new == ("params.logits.bias", "params.logits.kernel")
    assert "2 keys are left out: fc.weight, fc.bias" in " ".join(weights.notes)
    kernel = weights.variables["params"]["backbone"]["stem_conv"]["kernel"]
    np.testing.assert_array_equal(kernel, resnet[1]["params.stem_conv.kernel"])


def test_a_new_head_replaces_a_classifier_of_several_layers(tmp_path):
    """The head of a detector has no counterpart in the classifier of VGG16."""
    options = {"backbone": "vgg16", "width": 0.125, "one_block": True, "hidden": ()}
    target = detector_target("frame_classifier", options | {"dropout": ()}, size=64)
    entries = usual_fit(ORIGINS["torchvision"], target).key_map.entries
    arrays = {entry.theirs: np.ones(entry.their_shape(), np.float32) for entry in entries}
    np.savez(tmp_path / "w.npz", **arrays, **{"classifier.0.weight": ONE, "classifier.6.bias": ONE})
    weights = load(tmp_path / "w.npz", "torchvision", target, new_head=True)
    assert weights.new == ("params.logits.bias", "params.logits.kernel")
    left_out = "2 keys are left out: classifier.0.weight, classifier.6.bias"
    assert left_out in " ".join(weights.notes)


def test_verbs_there_and_back(tmp_path, capsys):
    target = detector_target("meso4", {}, size=256)
    rng = np.random.default_rng(1)
    flat = {key: rng.normal(size=shape).astype(np.float32) for key, shape in target.shapes.items()}
    convention = ORIGINS["keras"].networks["meso4"].conventions["same"]
    save(tmp_path / "theirs.h5", unflatten(flat), "keras", target, convention)
    ours, back = str(tmp_path / "w.safetensors"), str(tmp_path / "back.h5")
    name = ["--model", "meso4", "--out"]
    code = main(
        ["weights", "import", "--from", "keras", str(tmp_path / "theirs.h5"), *name, ours, "--json"]
    )
    last = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert code == 0 and last["kind"] == "detector" and last["convention"]["size"] == 256
    variables, header = load_safetensors(ours)
    assert header["model"] == header["config"]["name"] == "meso4"
    assert all(np.array_equal(flatten(variables)[key], flat[key]) for key in flat)
    assert main(["weights", "export", "--to", "keras", ours, *name, back]) == 0
    both = [read_foreign(path).content for path in (tmp_path / "theirs.h5", back)]
    assert both[0].keys() == both[1].keys()
    assert all(np.array_equal(both[0][key], both[1][key]) for key in both[0])
    assert main(["weights", "export", "--to", "timm", ours, *name, back]) == 2
    assert main(["weights", "export", "--to", "keras", ours, "--model", "b0", "--out", back]) == 2
    assert main(["weights", "import", "--from", "x", back, *name, ours]) == 2


@pytest.mark.parametrize("method", [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
@pytest.mark.parametrize("member", ["model.weights.h5", "a.npy"])
def test_damaged_members_of_zip_files_are_one_line(tmp_path, method, member):
    with zipfile.ZipFile(tmp_path / "w", "w", method) as archive:
        archive.writestr(member, np.random.default_rng(0).bytes(4000))
        archive.writestr("config.json" if "h5" in member else "b.npy", "{}")
    data = bytearray((tmp_path / "w").read_bytes())
    damaged = {"flipped": data.copy(), "unknown": data.copy(), "encrypted": data.copy()}
    damaged["flipped"][60:90] = bytes(30)
    for place in (8, data.index(b"PK\1\2") + 10):  # compression of the member, in both headers
        damaged["unknown"][place : place + 2] = b"\x63\0"
    for place in (6, data.index(b"PK\1\2") + 8):
        damaged["encrypted"][place] |= 1
    for changed in damaged.values():
        (tmp_path / "w").write_bytes(changed)
        with pytest.raises(FileError, match="is not a readable") as error:
            read_foreign(tmp_path / "w")
        assert "\n" not in str(error.value)


def test_more_weights_than_a_layer_has_are_one_line(tmp_path):
    """Keras 3 numbers the weights of a layer."""
    with h5py.File(tmp_path / "w.h5", "w") as file:
        for name in ("0", "1", "7"):
            file[f"layers/dense/vars/{name}"] = ONE
    with pytest.raises(FileError, match="is not a readable Keras file"):
        read_foreign(tmp_path / "w.h5")
