"""Metrics of videos: `compute(predictions)` gives all of them, with intervals."""

from dfjax.evaluation.metrics.video_metrics import RESAMPLES as RESAMPLES
from dfjax.evaluation.metrics.video_metrics import Metrics as Metrics
from dfjax.evaluation.metrics.video_metrics import compute as compute
from dfjax.evaluation.metrics.video_metrics import compute_tables as compute_tables
from dfjax.evaluation.metrics.video_metrics import macro_mean as macro_mean
from dfjax.evaluation.metrics.video_metrics import roc as roc
