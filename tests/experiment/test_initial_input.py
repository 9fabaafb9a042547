"""The input that files of backbones were trained with, in runs and in stored features."""

import pytest
from test_initial_backbones import ENP, TORCH, dual, files, write  # noqa: F401  # a fixture

from dfjax.config import load_config
from dfjax.errors import UsageError
from dfjax.experiment import workdir as workdirs
from dfjax.experiment.initial_backbones import use_conventions
from dfjax.experiment.phases import plan_run
from dfjax.inference.feature_backbones import from_weights, make_backbone

pytestmark = pytest.mark.usefixtures("compiled_quickly")

CLIP = {"mean": [0.48, 0.46, 0.41], "std": [0.27, 0.26, 0.28], "size": 336}


def test_the_default_mean_and_std_become_those_of_the_file_and_a_run_resumes(tmp_path, capsys):
    convention = {"origin": "transformers", "padding": "symmetric", "bn": TORCH} | CLIP
    path = write(tmp_path / "w.safetensors", convention=convention)
    overrides = {"init.backbone": path, "train.batch_size": 8, "eval.batch_size": 8}
    overrides |= {"phases": (("train.epochs=1",),)}
    config = load_config("resnet18:smoke", overrides)
    first, last = plan_run(config, tmp_path / "run")
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 2
    assert said[0].startswith("preprocess.mean=(0.48, 0.46, 0.41) preprocess.std=(0.27, ")
    size = config.preprocess.size
    assert said[1].endswith(f"of 336 px, and this run has preprocess.size={size}")
    for phase in (first, last):
        assert phase.config.preprocess.mean == (0.48, 0.46, 0.41)
        assert phase.config.preprocess.std == (0.27, 0.26, 0.28)
        assert phase.config.preprocess.size == size
    workdirs.prepare_workdir(first.workdir, first.config)
    assert workdirs.load(first.workdir).preprocess.mean == (0.48, 0.46, 0.41)
    path.unlink()
    again, _ = plan_run(config, tmp_path / "run")
    assert not capsys.readouterr().err
    workdirs.check(first.workdir, again.config)
    other = load_config("resnet18:smoke", overrides | {"preprocess.mean": (0.5,) * 3})
    again, _ = plan_run(other, tmp_path / "run")
    with pytest.raises(UsageError, match="preprocess.mean"):
        workdirs.check(first.workdir, again.config)


def test_streams_with_another_input_each_are_refused(files, tmp_path):  # noqa: F811
    convention = {"origin": "timm", "padding": "static", "bn": ENP} | CLIP
    path = write(tmp_path / "lq.safetensors", "b0", 1, convention=convention)
    message = r"init.hq=.* with mean=\(0.485, .*, and init.lq=.* with mean=\(0.48, 0.46, 0.41\)"
    with pytest.raises(UsageError, match=message):
        use_conventions(dual(files, **{"init.lq": path}))


def test_stored_features_follow_the_convention(tmp_path):
    bn = {"epsilon": 0.01, "momentum": 0.5, "unbiased": False}
    path = write(tmp_path / "w.safetensors", bn=bn)
    options = {"width": 0.25, "one_block": True}
    record = from_weights("resnet18", options, path, 32).record
    assert record["backbone"]["bn"] == "0.01,0.5,biased"
    assert record["backbone"]["padding"] == "symmetric"
    assert from_weights("resnet18", options, path, None).record["preprocess"]["size"] == 224
    large = {"origin": "timm", "padding": "symmetric", "bn": bn} | CLIP
    other = write(tmp_path / "o.safetensors", convention=large)
    record = make_backbone(backbone="resnet18", weights=other, **options).record
    assert record["preprocess"]["size"] == 336
    assert record["preprocess"]["mean"] == CLIP["mean"]
    with pytest.raises(UsageError, match="padding=same contradicts"):
        from_weights("resnet18", options | {"padding": "same"}, path, 32)
