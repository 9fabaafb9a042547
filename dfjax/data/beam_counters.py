"""Beam's counters of the stages of a pipeline: `STAGE.COUNT` in the namespace `dfjax`."""

import importlib
from collections.abc import Mapping, Sequence
from typing import Any

NAMESPACE = "dfjax"
COUNTS = ("started", "done", "failed", "failed_parts")


def count(stage: str, **counts: int) -> None:
    """Adds to Beam's counters of a stage."""
    counter = importlib.import_module("apache_beam.metrics").Metrics.counter
    for name, number in counts.items():
        if number:
            counter(NAMESPACE, f"{stage}.{name}").inc(number)


def read_counters(result: Any) -> dict[str, int]:
    """Returns our counters by name; empty where the runner has no metrics.

    Args:
        result: Result of a pipeline that has finished.
    """
    try:
        counters = result.metrics().query()["counters"]
    except (NotImplementedError, AttributeError):
        return {}
    ours = [each for each in counters if each.key.metric.namespace == NAMESPACE]
    return {each.key.metric.name: each.result for each in ours}


def describe_counters(counters: Mapping[str, int], stages: Sequence[str]) -> list[str]:
    """Returns a line with the counters of each stage that has any.

    Args:
        counters: Counters by name.
        stages: Names of the stages, in order.
    """
    lines = []
    for stage in stages:
        found = {name: counters.get(f"{stage}.{name}", 0) for name in COUNTS}
        counted = [f"{number} {name.replace('_', ' ')}" for name, number in found.items() if number]
        lines += [f"Beam: {stage}: {', '.join(counted)}"] if counted else []
    return lines
