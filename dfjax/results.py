"""The base class of results: what a call did, as text for people and as an object for JSON."""

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

from rich.console import Console, RenderableType

from dfjax.console import one_line

WIDTH = 110  # characters of a line in a notebook


class Result:
    """What a call of the library did, which the command line prints and a script can read.

    Attributes:
        in_json: Names of the fields in the object for JSON; empty for all.
    """

    in_json: ClassVar[Sequence[str]] = ()

    @property
    def has_findings(self) -> bool:
        """Whether something was found or left out; the exit code is then 1."""
        return bool(self.list_errors())

    def describe(self) -> Sequence[RenderableType]:
        """Returns lines and tables that say what was done."""
        raise NotImplementedError

    def list_notes(self) -> Sequence[str]:
        """Returns the sentences for the user in the field `notes`, where a class has one."""
        notes: Sequence[str] = getattr(self, "notes", ())
        return notes

    def list_errors(self) -> list[str]:
        """Returns a line for each input that was left out, or for all of them."""
        return []

    def to_json(self) -> dict[str, Any]:
        """Returns fields as one object for JSON, in which paths are text."""
        fields = vars(self)
        values = {name: fields[name] for name in self.in_json or fields}
        return {name: str(x) if isinstance(x, Path) else x for name, x in values.items()}

    def _repr_html_(self) -> str:
        """Returns the description, with notes and errors, as a notebook displays it."""
        console = Console(record=True, file=io.StringIO(), width=WIDTH, force_jupyter=False)
        for part in (*self.describe(), *self.list_notes(), *self.list_errors()):
            text = one_line(part) if isinstance(part, str) else part
            console.print(text, markup=False, highlight=False)
        return console.export_html(inline_styles=True, code_format="<pre>{code}</pre>")
