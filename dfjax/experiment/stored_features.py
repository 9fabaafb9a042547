"""Runs on stored features: the width that their model reads, the backbone that they take along."""

import shutil
from pathlib import Path

from ml_collections import ConfigDict

from dfjax.config import model_options
from dfjax.data.store.feature_pack import PARAMETERS, RECORD, FeaturePack, read_record
from dfjax.errors import UsageError
from dfjax.files import atomic_path

IDENTITY = ("backbone", "features", "parameters_sha256", "preprocess")
"""What two feature packs must agree in for one model to read both."""


def use_stored_features(config: ConfigDict) -> None:
    """Sets the width of the features that a config's model reads to that of `data.features`.

    Raises:
        UsageError: the model reads none, or there is no such feature pack.
    """
    if not config.data.features:
        return
    options = model_options(config)
    if config.data.path:
        raise UsageError("give data.features or data.path, not both: features stand for crops")
    if "features" not in options:
        raise UsageError(
            f"{config.model.name} reads frames, not data.features; clip_detector reads either"
        )
    options.features = int(read_record(Path(config.data.features))["features"])


def keep_backbone(pack: FeaturePack, workdir: Path) -> None:
    """Puts the backbone of stored features into a workdir, which then predicts from videos alone.

    Raises:
        UsageError: the workdir was trained on other features.
    """
    check_backbone(pack, workdir)
    if (workdir / RECORD).is_file():
        return
    workdir.mkdir(parents=True, exist_ok=True)
    for name in (PARAMETERS, RECORD):  # the record last: it says that both are there
        with atomic_path(workdir / name) as partial:
            shutil.copyfile(pack.path / name, partial)


def check_backbone(pack: FeaturePack, workdir: Path) -> None:
    """Raises a `UsageError` when a run was trained on features that another backbone computed."""
    if (workdir / RECORD).is_file():
        old, new = read_record(workdir), pack.record
        changed = [key for key in IDENTITY if old[key] != new[key]]
        if changed:
            raise UsageError(
                f"{pack.path} was not computed as what {workdir} was trained on: "
                f"{', '.join(changed)} of {RECORD} differ"
            )
