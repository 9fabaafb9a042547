"""What the numbers and names of a config may be: told before anything is computed."""

from typing import Any

import pandas as pd
from ml_collections import ConfigDict

from dfjax.data.clips import Sampling, check_sampling
from dfjax.errors import UsageError, unknown
from dfjax.evaluation import metrics
from dfjax.evaluation.predictions import COLUMNS
from dfjax.models.registry import full_options
from dfjax.training.profiling import read_steps

AT_LEAST = {
    "seed": 0,
    "data.eval_clips": 0,
    "data.workers": 0,
    "data.threads": 0,
    "data.prefetch": 0,
    "optimizer.learning_rate": 0,
    "optimizer.weight_decay": 0,
    "optimizer.clip_norm": 0,
    "schedule.warmup_steps": 0,
    "schedule.period": 0,
    "plateau.patience": 0,
    "early_stop.patience": 0,
    "train.batch_size": 1,
    "train.accumulate": 1,
    "train.epochs": 1,
    "train.log_every": 1,
    "train.max_skipped": 0,
    "train.ema_decay": 0,
    "eval.batch_size": 1,
    "checkpoint.every_steps": 1,
    "checkpoint.keep": 1,
}
"""The smallest value of a key."""


def check_config(config: ConfigDict) -> None:
    """Checks what a run would otherwise stumble over after minutes of compilation, or an epoch.

    Raises:
        UsageError: a number out of its range, or an unknown model, sampling or monitored metric.
    """
    for key, smallest in AT_LEAST.items():
        value = _get(config, key)
        if not smallest <= value < float("inf"):
            raise UsageError(f"{key} must be at least {smallest}, not {value}")
    if config.train.ema_decay >= 1:
        raise UsageError(f"train.ema_decay must be below 1, not {config.train.ema_decay}")
    full_options(config.model.name, {})
    check_sampling(Sampling(config.data.frames, config.data.sampling, config.data.stride))
    read_steps(config.profile)
    for pair in config.optimizer.multipliers:
        if isinstance(pair, str) or len(pair) != 2 or isinstance(pair[1], str):
            raise UsageError(f"optimizer.multipliers are pairs like (('hq/', 0.1),), not {pair!r}")
    for section in ("early_stop", "plateau"):
        if config[section].metric not in (names := list_metrics()):
            raise unknown(f"{section}.metric", config[section].metric, names)


def list_metrics() -> list[str]:
    """Returns the names of what validation measures: the loss, and every metric of a video."""
    nothing = pd.DataFrame({name: pd.Series(dtype=kind) for name, kind in COLUMNS.items()})
    return ["loss", *metrics.compute(nothing, resamples=0)]


def _get(config: ConfigDict, key: str) -> Any:
    value = config
    for part in key.split("."):
        value = value[part]
    return value
