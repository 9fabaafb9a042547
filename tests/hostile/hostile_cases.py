"""Cases of the corpus: kind, number and seed determine every byte of an input.

A failing case is repeated by its name: `pytest "tests/hostile/test_x.py::test_y[KIND-NUMBER]"`,
with `DFJAX_HOSTILE_SEED` set where another seed than the fixed one was used.
"""

import os
import random
from collections.abc import Iterable
from typing import NamedTuple

import pytest

SEED = os.environ.get("DFJAX_HOSTILE_SEED", "1")


class Case(NamedTuple):
    """One input of the corpus."""

    kind: str
    number: int
    seed: str = SEED

    def rng(self):
        """The random numbers of this case, the same in every process."""
        return random.Random(f"{self.seed}/{self.kind}/{self.number}")

    def __str__(self):
        return f"{self.kind}-{self.number}"

    @property
    def operation(self):
        """What is done to the input: the part of the kind after the dot."""
        return self.kind.partition(".")[2]


def make_cases(thing: str, operations: Iterable[str], count: int) -> list[Case]:
    """`count` cases of every operation on one kind of thing."""
    return [Case(f"{thing}.{name}", number) for name in operations for number in range(count)]


def over(cases: Iterable[Case]) -> pytest.MarkDecorator:
    """Gives a test the argument `case`; its name says kind and number."""
    return pytest.mark.parametrize("case", list(cases), ids=str)
