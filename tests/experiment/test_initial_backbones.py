"""The keys `init.*`: conventions of files, strict loading, phases, resuming and frozen parts."""

import hashlib
import json
import shlex
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from dfjax.config import load_config
from dfjax.errors import UsageError
from dfjax.experiment import workdir as workdirs
from dfjax.experiment.builders import example_inputs, make_model
from dfjax.experiment.initial_backbones import (
    find_files,
    follow_files,
    keep_conventions,
    load_backbones,
    use_conventions,
)
from dfjax.experiment.phases import plan_run
from dfjax.experiment.train import run_training
from dfjax.inference.provenance import TracedRun, trace_runs
from dfjax.models.frame_features import build_backbone
from dfjax.training.checkpoint import Checkpoints
from dfjax.weights.safetensors_file import save_safetensors

pytestmark = pytest.mark.usefixtures("compiled_quickly")

IMAGENET = {"mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225], "size": 224}
TORCH = {"epsilon": 1e-5, "momentum": 0.9, "unbiased": True}
KERAS = {"epsilon": 1e-3, "momentum": 0.99, "unbiased": False}
ENP = {"epsilon": 1e-3, "momentum": 0.99, "unbiased": True}


class Tiny(nn.Module):
    """A backbone of one convolution."""

    @nn.compact
    def __call__(self, images, mask, *, train):
        return nn.relu(nn.Conv(8, (3, 3), (8, 8), name="conv")(images))


def draw(name, seed, **options):
    """Random variables of a backbone."""
    fns = build_backbone(name, **options)
    image = jax.ShapeDtypeStruct((1, 64, 64, 3), jnp.float32)
    shapes = jax.eval_shape(fns.init, jax.random.key(0), image)
    rng = np.random.default_rng(seed)
    return jax.tree.map(lambda s: rng.normal(size=s.shape).astype(np.float32), shapes)


def write(path, name="resnet18", seed=0, padding="symmetric", bn=TORCH, **header):
    variables = header.pop("variables", None) or draw(name, seed, width=0.25, one_block=True)
    convention = {"origin": "timm", "padding": padding, "bn": bn} | IMAGENET
    metadata = {"model": name, "kind": "backbone", "convention": convention} | header
    save_safetensors(path, variables, metadata=metadata)
    return path


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("files")
    write(folder / "hq.safetensors")
    write(folder / "lq.safetensors", "b0", 1, padding="static", bn=ENP)
    return folder


def dual(files, **overrides):
    both = {f"init.{key}": files / f"{key}.safetensors" for key in ("hq", "lq")}
    values = both | {"model.dual_stream.hq": "resnet18", "model.dual_stream.lq": "b0"} | overrides
    return load_config("dual_stream:smoke", values).copy_and_resolve_references()


def test_auto_becomes_the_convention_of_each_stream(files):
    config = dual(files)
    use_conventions(config)
    options = config.model.dual_stream
    assert (options.padding, options.bn) == ("symmetric", "1e-05,0.9,unbiased")
    assert (options.lq_padding, options.lq_bn) == ("static", "0.001,0.99,unbiased")


@pytest.mark.parametrize(
    "overrides,message",
    [
        ({"model.dual_stream.padding": "same"}, "padding=same contradicts init.hq=.*symmetric"),
        ({"model.dual_stream.lq_bn": "tf"}, "lq_bn=tf contradicts init.lq=.*0.001,0.99,unbiased"),
        ({"preprocess.mean": (0.5,) * 3}, r"init.hq=.*set preprocess.mean=\(0.485, 0.456, 0.406\)"),
        (
            {"model.dual_stream.hq": "b0"},
            "hq.safetensors has the parameters of resnet18, not of b0",
        ),
        ({"train.init_from": "other"}, "not both"),
        ({"init.rgb": "x.safetensors"}, "unknown key of init for dual_stream 'rgb'"),
        ({"init.backbone": "x.safetensors"}, r"set init.hq \(resnet18\) and init.lq \(b0\)"),
        ({"init.lq": "none.safetensors"}, "none.safetensors does not exist"),
    ],
)
def test_contradictions_are_refused(files, overrides, message):
    with pytest.raises(UsageError, match=message):
        use_conventions(dual(files, **overrides))


def test_sbi_starts_from_weights_of_imagenet_by_the_command_in_its_header(tmp_path):
    text = (Path(__file__).parents[2] / "configs" / "sbi.py").read_text(encoding="utf-8")
    _, _, command = text.partition("Hardware:")[0].partition("Command:")
    file = tmp_path / "B4.safetensors"
    write(file, "b4", padding="same", bn=KERAS, variables={"params": {}})
    command = command.replace("\\\n", " ").replace(file.name, str(file))
    given = [part.removeprefix("--config.") for part in shlex.split(command) if "--config." in part]
    config = load_config("sbi", given).copy_and_resolve_references()
    use_conventions(config)
    assert config.model.frame_classifier.padding == "same"
    assert config.preprocess.mean == tuple(IMAGENET["mean"])


def test_a_model_of_stored_features_has_no_backbone(files):
    overrides = {"init.backbone": files / "hq.safetensors", "model.clip_detector.features": 8}
    with pytest.raises(UsageError, match="clip_detector has no backbone that reads frames"):
        find_files(load_config("transformer_head:smoke", overrides))


def shapes_of(config):
    return jax.eval_shape(make_model(config).init, jax.random.key(0), example_inputs(config))


def test_the_files_are_loaded_under_their_parts(files):
    config = dual(files)
    loaded = load_backbones(find_files(config), shapes_of(config))
    expected = draw("b0", 1, width=0.25, one_block=True)
    for name in ("params", "batch_stats"):
        assert set(loaded[name]) == {"hq_backbone", "lq_backbone"}
        jax.tree.map(np.testing.assert_array_equal, loaded[name]["lq_backbone"], expected[name])


def test_further_streams_start_at_0_beside_the_weights_of_rgb(tmp_path):
    name = f"{__name__}:Tiny"
    path = write(tmp_path / "w.safetensors", name, variables=draw(name, 3))
    start = {"model.frame_classifier.backbone": name, "init.backbone": path}
    streams = {"model.frame_classifier.streams": ("rgb", "srm", "phase")}
    more = load_config("resnet18:smoke", start | streams).copy_and_resolve_references()
    plain = load_config("resnet18:smoke", start).copy_and_resolve_references()
    rng, kernels, features = np.random.default_rng(0), [], []
    inputs = {name: rng.normal(size=x.shape).astype("f") if x.dtype != bool else
              jnp.ones(x.shape, bool) for name, x in example_inputs(more).items()}  # fmt: skip
    for config in (plain, more):
        model, loaded = make_model(config), load_backbones(find_files(config), shapes_of(config))
        variables = jax.jit(model.init)(jax.random.key(0), inputs)
        variables = {name: {**tree, **loaded[name]} for name, tree in variables.items()}
        apply = jax.jit(lambda v, x, m=model: m.apply(v, x, train=False, rngs=None)[1]["features"])
        kernels.append(np.asarray(variables["params"]["backbone"]["conv"]["kernel"]))
        features.append(apply(variables, inputs))
    np.testing.assert_array_equal(kernels[1][:, :, :3], kernels[0])
    np.testing.assert_array_equal(kernels[1][:, :, 3:], np.zeros((3, 3, 4, 8)))
    np.testing.assert_allclose(features[1], features[0], rtol=1e-5)


@pytest.mark.parametrize("spec,part", [("two_stream_flow:smoke", "resnet18"), ("hybrid:smoke", "")])
def test_the_key_backbone_and_the_stream_mean_the_same(files, spec, part):
    part = part or "backbone"
    for key in ("backbone", "rgb"):
        config = load_config(spec, {f"init.{key}": files / "hq.safetensors"})
        config = config.copy_and_resolve_references()
        config.model[config.model.name].backbone = "resnet18"
        (file,) = find_files(config)
        assert (file.key, file.part.part) == (f"init.{key}", part)


def test_every_key_is_used_exactly_once(files, tmp_path):
    variables = draw("b0", 1, width=0.25, one_block=True)
    variables["params"]["stem_conv2"] = variables["params"].pop("stem_conv")
    write(tmp_path / "lq.safetensors", "b0", padding="static", bn=ENP, variables=variables)
    config = dual(files, **{"init.lq": tmp_path / "lq.safetensors"})
    message = (
        r"init.lq=.*lq.safetensors are not those of the backbone b0: 1 key is missing: "
        r"params.stem_conv.kernel \(near params.stem_conv2.kernel\); 1 key is not expected: "
    )
    with pytest.raises(UsageError, match=message):
        load_backbones(find_files(config), shapes_of(config))


def test_a_run_resumes_with_its_conventions_when_the_file_is_gone(files, tmp_path):
    kept = tmp_path / "kept.safetensors"
    kept.write_bytes((files / "hq.safetensors").read_bytes())
    overrides = {"init.backbone": kept, "train.batch_size": 8, "eval.batch_size": 8}
    config = load_config("resnet18:smoke", overrides)
    (phase,) = plan_run(config, tmp_path / "run")
    assert phase.config.model.frame_classifier.padding == "symmetric"
    workdirs.prepare_workdir(tmp_path / "run", phase.config)
    kept.unlink()
    (again,) = plan_run(config, tmp_path / "run")
    workdirs.check(tmp_path / "run", again.config)


def test_the_files_of_a_run_are_recorded_and_a_change_is_said(files, tmp_path):
    path = write(tmp_path / "lq.safetensors", "b0", padding="static", bn=ENP, licence="MIT")
    config = dual(files, **{"init.lq": path})
    initial, said = find_files(config), []
    for resumed in (False, True):
        follow_files(initial, tmp_path, said.append, resumed=resumed)
    record = json.loads((tmp_path / "initial_files.json").read_text())
    assert set(record) == {"init.hq", "init.lq"} and not said
    before = hashlib.sha256(path.read_bytes()).hexdigest()
    assert record["init.lq"] == {"path": str(path), "sha256": before, "licence": "MIT"}
    write(path, "b0", seed=5, padding="static", bn=ENP)
    follow_files(initial, tmp_path, said.append, resumed=True)
    now = hashlib.sha256(path.read_bytes()).hexdigest()
    (line,) = said
    assert f"init.lq={path} has changed" in line and f"was {before} and is {now}" in line
    assert json.loads((tmp_path / "initial_files.json").read_text()) == record
    path.unlink()  # a run resumes without its files
    follow_files(initial, tmp_path, said.append, resumed=True)
    (tmp_path / "initial_files.json").write_text("{")
    follow_files(initial, tmp_path, said.append, resumed=True)
    assert len(said) == 1


def test_an_earlier_default_is_kept_in_an_old_workdir():
    config = load_config("dual_stream:smoke").copy_and_resolve_references()
    keep_conventions(
        config, load_config("dual_stream:smoke", {"model.dual_stream.padding": "same"})
    )
    assert config.model.dual_stream.padding == "same"


def test_only_the_first_phase_reads_the_files(files, tmp_path):
    overrides = {"init.backbone": files / "hq.safetensors", "phases": (("train.epochs=1",),)}
    overrides |= {"train.batch_size": 8, "eval.batch_size": 8, "optimizer.freeze": ("^backbone/",)}
    first, last = plan_run(load_config("resnet18:smoke", overrides), tmp_path / "run")
    assert first.config.init.backbone and not first.config.train.init_from
    assert last.config.train.init_from and not any(last.config.init.values())
    assert last.config.model.frame_classifier.bn == "1e-05,0.9,unbiased"


@pytest.mark.slow
def test_phases_start_from_the_file_once_and_the_frozen_backbone_is_that_of_it(tmp_path, capsys):
    name = f"{__name__}:Tiny"
    variables = draw(name, 3)
    path = write(tmp_path / "w.safetensors", name, variables=variables)
    overrides = {
        "model.frame_classifier.backbone": name,
        "init.backbone": path,
        "optimizer.freeze": ("^backbone/",),
        "phases": (("optimizer.learning_rate=1e-3",),),
        "train.epochs": 1, "train.batch_size": 8, "eval.batch_size": 8,
    }  # fmt: skip
    config = load_config("resnet18:smoke", overrides)
    assert run_training(config, tmp_path / "run")["status"] == "trained"
    checkpoints = Checkpoints(tmp_path / "run", read_only=True)
    _, last = checkpoints.restore_variables("last")
    checkpoints.close()
    expected = variables["params"]["conv"]
    jax.tree.map(np.testing.assert_array_equal, last["params"]["backbone"]["conv"], expected)
    saved = workdirs.load(tmp_path / "run")
    assert not saved.init.backbone and saved.train.init_from
    assert workdirs.load(tmp_path / "run" / "phase1").init.backbone == str(path)
    record = json.loads((tmp_path / "run" / "phase1" / "initial_files.json").read_text())
    assert record["init.backbone"]["path"] == str(path)
    assert not (tmp_path / "run" / "initial_files.json").exists()
    capsys.readouterr()
    trace_runs(*TracedRun(tmp_path / "run", saved))
    assert f"the data that {path} was trained on are not checked" in capsys.readouterr().err
    path.unlink()
    assert run_training(config, tmp_path / "run")["status"] == "complete"
