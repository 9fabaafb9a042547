"""Checks of single values of a config: functions `check(key, value)` that raise a `UsageError`."""

import math
import re
from collections.abc import Callable
from typing import Any

from dfjax.errors import UsageError, unknown
from dfjax.schema import MOST_PIXELS

Check = Callable[[str, Any], None]
Number = int | float


def number(
    least: Number, most: Number, *, above: bool = False, below: bool = False, whole: bool = False
) -> Check:
    """Returns the check of a number from `least` to `most`.

    Args:
        least: Smallest value.
        most: Largest value.
        above: Whether `least` itself is out of range.
        below: Whether `most` itself is out of range.
        whole: Whether the number must be an integer.
    """
    lower = f"{'above' if above else 'at least'} {_format_bound(least)}"
    upper = f"{'below' if below else 'at most'} {_format_bound(most)}"

    def check(key: str, value: Any) -> None:
        kinds = int if whole else Number
        if isinstance(value, bool) or not isinstance(value, kinds):
            raise _wrong(key, "a whole number" if whole else "a number", value)
        if isinstance(value, float) and not math.isfinite(value):
            raise _wrong(key, "a finite number", value)
        if value < least or (above and value == least):
            raise _wrong(key, lower, value)
        if value > most or (below and value == most):
            raise _wrong(key, upper, value)

    return check


def whole(least: int, most: int) -> Check:
    """Returns the check of an integer from `least` to `most`."""
    return number(least, most, whole=True)


def each(check: Check, count: int | None = None) -> Check:
    """Returns the check of a tuple.

    Args:
        check: Check of each item.
        count: Number of items; None allows any.
    """

    def check_items(key: str, value: Any) -> None:
        if not isinstance(value, tuple | list):
            raise _wrong(key, "a tuple", value)
        if count is not None and len(value) != count:
            raise UsageError(f"{key} must have {count} values, not {len(value)}")
        for item in value:
            check(key, item)

    return check_items


def pair(first: Check, second: Check, example: str) -> Check:
    """Returns the check of a pair.

    Args:
        first: Check of its first item.
        second: Check of its second item.
        example: Tuple of such pairs, for the message.
    """

    def check(key: str, value: Any) -> None:
        if not isinstance(value, tuple | list) or len(value) != 2:
            raise UsageError(f"{key} are pairs like {example}, not {show(value)}")
        first(key, value[0])
        second(key, value[1])

    return check


def choice(*names: str) -> Check:
    """Returns the check of a text that is one of `names`."""

    def check(key: str, value: Any) -> None:
        text(key, value)
        if value not in names:
            raise unknown(key, value, names)

    return check


def optional(check: Check) -> Check:
    """Returns a check that also allows None."""
    return either(None, check)


def either(exception: Any, check: Check) -> Check:
    """Returns a check that also allows the value `exception`."""

    def check_others(key: str, value: Any) -> None:
        if type(value) is not type(exception) or value != exception:
            check(key, value)

    return check_others


def one_or_more(check: Check) -> Check:
    """Returns the check of a value or of a tuple of such values."""

    def check_all(key: str, value: Any) -> None:
        each(check)(key, value if isinstance(value, tuple | list) else (value,))

    return check_all


def flag(key: str, value: Any) -> None:
    """Checks a bool."""
    if not isinstance(value, bool):
        raise _wrong(key, "True or False", value)


def text(key: str, value: Any) -> None:
    """Checks a text; no path and no name contains the character NUL."""
    if not isinstance(value, str) or "\0" in value:
        raise _wrong(key, "a text", value)


def pattern(key: str, value: Any) -> None:
    """Checks a regular expression."""
    text(key, value)
    try:
        re.compile(value)
    except re.error as error:
        raise UsageError(f"{key}: {show(value)} is no regular expression: {error}") from None


def fold(key: str, value: Any) -> None:
    """Checks a round of cross-validation, such as `2/5`, or an empty text."""
    text(key, value)
    match = re.fullmatch(r"([1-9]\d{0,5})/([1-9]\d{0,5})", value)
    if value and not (match and int(match[1]) <= int(match[2])):
        raise UsageError(f"{key} is N/K with N from 1 to K, such as 2/5, not {show(value)}")


def devices(key: str, value: Any) -> None:
    """Checks a group of devices: `global`, `local` or their number, a text."""
    if not isinstance(value, str) or not re.fullmatch(r"global|local|[1-9][0-9]{0,5}", value):
        raise _wrong(key, "global, local or a number of devices, as a text", value)


def phases(key: str, value: Any) -> None:
    """Checks a tuple of tuples of overrides."""
    right = isinstance(value, tuple | list) and all(isinstance(v, tuple | list) for v in value)
    if not right or not all(isinstance(item, str) for items in value for item in items):
        raise UsageError(
            f"{key} must be a tuple with a tuple of overrides for every further phase, like "
            f"(('train.epochs=15', 'optimizer.learning_rate=1e-4'),), not {show(value)}"
        )


def alternatives(key: str, value: Any) -> None:
    """Checks `(PROBABILITY, NAME or (NAME, …), …)`, or an empty tuple."""
    each(lambda key, item: None)(key, value)
    if value:
        number(0, 1)(key, value[0])
    for names in value[1:]:
        one_or_more(text)(key, names)


def plain(key: str, value: Any) -> None:
    """Checks an option of a model or loss of the user's own: what a config can record."""
    if isinstance(value, tuple | list):
        each(plain)(key, value)
    elif value is not None and not isinstance(value, bool | Number | str):
        raise _wrong(key, "a number, a text or a tuple of these", value)


def show(value: Any) -> str:
    """Returns a value as messages show it, shortened."""
    if isinstance(value, int) and abs(value) >= 10**30:
        return "a number of more than 30 digits"
    shown = repr(value)
    return shown if len(shown) <= 60 else f"{shown[:60]}…"


def _format_bound(value: Number) -> str:
    return f"{value:,}" if isinstance(value, int) else f"{value:g}"


def _wrong(key: str, wanted: str, value: Any) -> UsageError:
    return UsageError(f"{key} must be {wanted}, not {show(value)}")


SHARE = number(0, 1)
BELOW_ONE = number(0, 1, below=True)
COUNT = whole(0, 10**9)
POSITIVE = whole(1, 10**9)
CLIPS = whole(1, 65_536)
PIXELS = whole(1, MOST_PIXELS)
WIDTH = whole(1, 65_536)
FACTOR = number(0, 1000)  # of a term of the loss
OPTIONAL_WIDTH = whole(0, 65_536)
BETA = number(0, 2)  # parameter of Beta(a, a); papers use 0.1 to 2
OPERATION = each(number(-1e6, 1e6))  # each has its own range: `check_values`
