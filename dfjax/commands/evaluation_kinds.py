"""The kinds of `dfjax evaluate`, and the options that each of them uses."""

from dfjax.commands.detector_options import JUDGING, SCORING
from dfjax.commands.main import Arguments, Parser
from dfjax.commands.other_options import refuse_others

WHERE = ("split", "index", "out", "json", "module")
NUMBERS = ("protocol", "first_frames", "write")
DETECTOR = ("workdir", "weights", "model", "checkpoint")
TABLES = ("predictions", "columns", "scale", "scores", "threshold_from")
TAKES = {
    "defake": (*WHERE, "defake", "detector", "identity", "checkpoint"),
    "predictions": (*WHERE, *NUMBERS, *TABLES),
    "robustness": (*WHERE, *DETECTOR, *SCORING, "robustness"),
    "workdir": (*WHERE, *DETECTOR, *SCORING, *NUMBERS, *JUDGING),
}
"""Arguments that each kind of evaluation uses."""


def find_kind(args: Arguments, parser: Parser) -> str:
    """Returns the kind of evaluation that the arguments of the verb ask for, a key of `TAKES`.

    Raises:
        UsageError: An option is given that this kind would ignore.
    """
    kind = next((name for name in TAKES if getattr(args, name) is not None), "workdir")
    refuse_others(args, parser, kind, TAKES[kind])
    return kind
