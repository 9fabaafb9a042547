"""Runs on stored features: the width of the features, and the backbone that computed them."""

import shutil
from pathlib import Path

from ml_collections import ConfigDict

from dfjax.config import model_options
from dfjax.data.store.feature_pack import PARAMETERS, RECORD, FeaturePack, read_record
from dfjax.errors import UsageError
from dfjax.files import atomic_path

IDENTITY = ("backbone", "features", "parameters_sha256", "preprocess")
"""Keys of the record that must be equal in two feature packs for one model to read both."""


def use_stored_features(config: ConfigDict) -> None:
    """Sets the option `features` of the model to the width of the features in `data.features`.

    Raises:
        UsageError: The model does not read features, the feature pack does not exist, or
            `data.path` is set too.
    """
    if not config.data.features:
        return
    options = model_options(config)
    if config.data.path:
        raise UsageError("set data.features or data.path, not both: features replace crops")
    if "features" not in options:
        raise UsageError(f"{config.model.name} does not read stored features; clip_detector does")
    options.features = int(read_record(Path(config.data.features))["features"])


def keep_backbone(pack: FeaturePack, workdir: Path) -> None:
    """Copies the backbone of stored features into a workdir, so that it can score videos.

    Raises:
        UsageError: The workdir was trained on features of another backbone.
    """
    check_backbone(pack, workdir)
    if (workdir / RECORD).is_file():
        return
    workdir.mkdir(parents=True, exist_ok=True)
    for name in (PARAMETERS, RECORD):  # the record last, so that its presence implies both
        with atomic_path(workdir / name) as partial:
            shutil.copyfile(pack.path / name, partial)


def check_backbone(pack: FeaturePack, workdir: Path) -> None:
    """Checks that features were computed by the backbone that a workdir was trained with.

    Raises:
        UsageError: They were computed by another backbone.
    """
    if (workdir / RECORD).is_file():
        old, new = read_record(workdir), pack.record
        changed = [key for key in IDENTITY if old[key] != new[key]]
        if changed:
            raise UsageError(
                f"the features in {pack.path} are not like those that {workdir} was trained on: "
                f"{', '.join(changed)} of {RECORD} differ"
            )
