"""The gap between two numbers of one table, divided among the conventions that differ.

The share of a convention is its Shapley value: the mean, over all orders in which the conventions
could be changed from those of the first number to those of the second, of the change of the number
when its turn comes. The shares add up to the gap, whatever the conventions do together; a
convention that changes nothing has the share 0, and one that differs alone has the whole gap.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
import pandas as pd

from dfjax.errors import UsageError
from dfjax.evaluation.conventions.convention import FAILED, Convention, describe_convention
from dfjax.evaluation.conventions.scored_rows import Scored
from dfjax.results import Result

FIRST = (32, 8, 4, 1)
"""Numbers of first frames that benchmarks use."""
CAUSES = {
    "metric": "another metric",
    "unit": "frames or videos",
    "first": "first frames of each video",
    "pooled": "videos pooled by folder name",
    "failed": "rows without a score",
    "eer": "rule of the EER",
    "chosen": "checkpoint chosen on",
    "half": "a score of 0.5",
    "repeated": "rows that repeat a key",
}


@dataclass(frozen=True)
class Cause:
    """The share of one convention in a gap.

    Attributes:
        name: Name of the convention, a key of `CAUSES`.
        a: Its value behind the first number.
        b: Its value behind the second number.
        share: Shapley value; the shares add up to the gap.
        alone: Change of the first number if only this convention is changed.
    """

    name: str
    a: Any
    b: Any
    share: float
    alone: float


@dataclass(frozen=True)
class Gap(Result):
    """Two numbers of one table, and the causes of their difference.

    Attributes:
        a: Convention of the first number.
        b: Convention of the second number.
        value_a: First number.
        value_b: Second number.
        causes: Causes, the largest share first.
        notes: Sentences about how the conventions were found.
    """

    a: Convention
    b: Convention
    value_a: float
    value_b: float
    causes: list[Cause]
    notes: tuple[str, ...] = ()

    @property
    def gap(self) -> float:
        """Second number minus the first."""
        return self.value_b - self.value_a

    def describe(self) -> list[str]:
        """Returns lines with the two numbers and the gap."""
        numbers = ((self.a, self.value_a), (self.b, self.value_b))
        lines = [f"{describe_convention(one)}: {value:.6f}" for one, value in numbers]
        return [*lines, f"gap: {self.gap:+.6f}"]

    def to_json(self) -> dict[str, Any]:
        """Returns the gap and its causes as `dfjax why --json` prints them."""
        return {
            "a": {"convention": describe_convention(self.a), "value": self.value_a},
            "b": {"convention": describe_convention(self.b), "value": self.value_b},
            "gap": self.gap,
            "causes": [cause.__dict__ for cause in self.causes],
            "notes": list(self.notes),
        }

    def to_frame(self) -> pd.DataFrame:
        """Returns the causes as a table: `cause a b share alone`."""
        rows = [
            {"cause": CAUSES[one.name], "a": _word(one.a), "b": _word(one.b)}
            | {"share": one.share, "alone": one.alone}
            for one in self.causes
        ]
        return pd.DataFrame(rows, columns=["cause", "a", "b", "share", "alone"])


def _word(value: Any) -> str:
    """Returns the value of a convention for a table."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "all" if value is None else str(value)


def explain_gap(scored: Scored, a: Convention, b: Convention) -> Gap:
    """Returns the gap between the numbers that two conventions give, divided among its causes.

    Args:
        scored: Rows of the table.
        a: Convention of the first number.
        b: Convention of the second number.

    Raises:
        UsageError: A number is undefined.
    """
    names = [one.name for one in fields(Convention)]
    differing = [name for name in names if getattr(a, name) != getattr(b, name)]
    values: dict[frozenset[str], float] = {}
    for size in range(len(differing) + 1):
        for changed in itertools.combinations(differing, size):
            convention = replace(a, **{name: getattr(b, name) for name in changed})
            value = scored.measure(convention)
            if not np.isfinite(value):
                text = describe_convention(convention)
                raise UsageError(f"{text} is undefined: a class is missing, or there is no score")
            values[frozenset(changed)] = value
    start = values[frozenset()]
    causes = [
        Cause(
            name=name,
            a=getattr(a, name),
            b=getattr(b, name),
            share=_shapley(values, name, differing),
            alone=values[frozenset([name])] - start,
        )
        for name in differing
    ]
    causes.sort(key=lambda cause: -abs(cause.share))
    return Gap(a, b, start, values[frozenset(differing)], causes)


def _shapley(values: dict[frozenset[str], float], name: str, names: list[str]) -> float:
    others = [one for one in names if one != name]
    n, terms = len(names), []
    for size in range(len(others) + 1):
        weight = math.factorial(size) * math.factorial(n - size - 1) / math.factorial(n)
        for before in itertools.combinations(others, size):
            step = values[frozenset((*before, name))] - values[frozenset(before)]
            terms.append(weight * step)
    return math.fsum(terms)


def find_conventions(scored: Scored, value: float, digits: int) -> list[Convention]:
    """Returns the conventions whose number, rounded, is the given one; the nearest to strict first.

    Choices that change nothing in this table, such as the first 8 frames of shorter videos, are not
    tried.

    Args:
        scored: Rows of the table.
        value: Number that was published.
        digits: Number of its decimal places.
    """
    choices: tuple[str, ...] = ("val",)
    if len(scored.columns) > 1:
        choices = ("val", "test") if scored.validation.any() else ("test",)
    frames = int(scored.place.max(initial=0)) + 1  # of the longest video
    pooled = len(np.unique(scored.folder)) < len(np.unique(scored.video))
    failed = any(not np.isfinite(scores).all() for scores in scored.scores.values())
    grid: dict[str, tuple[Any, ...]] = {
        "metric": ("auc",),
        "unit": ("video", "frame") if frames > 1 else ("video",),
        "first": (None, *(number for number in FIRST if number < frames)),
        "pooled": (False, True) if pooled else (False,),
        "failed": FAILED if failed else FAILED[:1],
        "chosen": choices,
        "repeated": ("drop", "keep") if scored.repeats else ("drop",),
    }
    halves = frames > 1 or failed or any((one == 0.5).any() for one in scored.scores.values())
    grids = [grid, {**grid, "metric": ("eer",), "eer": ("interp", "nearest")}]
    grids += [{**grid, "metric": ("ap",)}]
    grids += [{**grid, "metric": ("accuracy",), "half": ("fake", "real") if halves else ("fake",)}]
    found = []
    for one in grids:
        for choice in itertools.product(*one.values()):
            convention = Convention(**dict(zip(one, choice)))
            if convention.unit == "frame" and convention.pooled:
                continue
            if abs(scored.measure(convention) - value) <= 0.5 * 10**-digits + 1e-12:
                found.append(convention)
    return sorted(found, key=count_choices)


def count_choices(convention: Convention) -> int:
    """Returns the number of choices of a convention that are not those of the strict protocol."""
    default = Convention()
    names = [one.name for one in fields(Convention)]
    return sum(getattr(convention, name) != getattr(default, name) for name in names)
