"""Refuses options that a verb would ignore because of another option."""

from collections.abc import Sequence

from dfjax.commands.main import Arguments, Parser
from dfjax.errors import UsageError

FLAGS = {"passes": "mc-dropout", "calibrated": "no-calibration", "module": "import"}
"""Flags that are not called as their arguments."""


def refuse_others(args: Arguments, parser: Parser, kind: str, taken: Sequence[str]) -> None:
    """Checks that no option is given that would be ignored.

    Args:
        args: Arguments of the verb.
        parser: Parser of the verb, for its defaults.
        kind: Option that the others do not go with.
        taken: Arguments that go with it, itself among them.

    Raises:
        UsageError: Another option has a value that is not its default.
    """
    for name, value in vars(args).items():
        if name not in taken and value != parser.get_default(name):
            flag = FLAGS.get(name, name).replace("_", "-")
            raise UsageError(f"--{flag} does not go with --{kind}, which would ignore it")
