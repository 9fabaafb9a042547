"""Names of columns in tables of other programs: given by the caller, or guessed if unmistakable."""

from __future__ import annotations

import fnmatch
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from dfjax.errors import UsageError, unknown
from dfjax.text_tables import column_key, match_columns

GUESSES: dict[str, tuple[str, ...]] = {
    "video_id": (
        "filename file_name video_name videoname video video_file video_path filepath file path",
        "id key name sample_id sample",
    ),
    "label": (
        "true_label ground_truth groundtruth gt y_true target is_fake gt_label true_class",
        "class",
    ),
    "fake_prob": (
        "score prob probability prob_fake fake_score fake_probability p_fake pfake avg_prob_fake"
        " mean_prob_fake y_score video_score fake",
        "pred prediction preds",
    ),
    "dataset": ("dataset_name data_set source_dataset",),
    "method": ("generator manipulation forgery manipulation_method generator_name",),
    "frame": ("frame_idx frame_index frame_number frame_no frame_num",),
    "verdict": (
        "decision predicted_label pred_label predicted_class video_pred y_pred"
        " video_pred_by_avg pred_by_avg",
        "pred prediction preds",
    ),
}
"""Names in other programs' tables, by column. The names of a later line are only tried if a table
has none of those before."""

REQUIRED = ("video_id", "label", "fake_prob")
EXTRA = ("entropy", "mutual_information", "fake_prob_sd", "face_share", "error")
"""Further columns that evaluations use."""
SCALES = ("prob", "logit", "percent")
FORMATS = ("dfwb", "deepfakebench")
"""Formats of other programs that predictions are written in."""


class Named(NamedTuple):
    """The columns of a table under their usual names, and sentences about what was assumed."""

    names: list[str]
    notes: list[str]


@dataclass(frozen=True)
class TableForm:
    """How a table of another program is to be read.

    Attributes:
        columns: Column of the file for a column of the predictions, such as
            `{"video_id": "filename"}`. Other columns are found by their usual names or by
            `GUESSES`.
        scale: Scale of the scores: `prob`, `logit` or `percent`. None for probabilities; scores
            outside [0, 1] are then an error.
        kept: Pattern of the columns that keep their names, or "".
    """

    columns: Mapping[str, str] = field(default_factory=dict)
    scale: str | None = None
    kept: str = ""

    def __post_init__(self) -> None:
        """Checks the scale."""
        if self.scale is not None and self.scale not in SCALES:
            raise unknown("scale", self.scale, SCALES)

    def name_columns(
        self, columns: Iterable[str], known: Sequence[str], *, name: str, scores: bool = True
    ) -> Named:
        """Returns the columns of a file under the names of predictions.

        Args:
            columns: Names as they are written.
            known: Names of the columns of predictions.
            name: Name of the file, for messages.
            scores: Whether a column of scores is looked for.

        Raises:
            UsageError: A column that was named does not exist, two columns have one name, or
                several columns may be the id, the label or the score.
        """
        written = [str(column).strip() for column in columns]
        known = [*known, *EXTRA]
        for column in self.columns:
            if column not in known:
                raise unknown("column of predictions", column, known)
        found = self._rename(written, known, name)
        notes = [_describe(name, self.columns)] if self.columns else []
        guessed: dict[str, str] = {}
        for column in GUESSES:
            if column in found or (column == "fake_prob" and ("logit" in found or not scores)):
                continue
            if column == "frame" and {"clip", "position", "unit"} & set(found):
                continue
            free = ["" if self._keeps(one) else one for one in found]
            place = _guess(column, free, name)
            if place is not None:
                guessed[column] = found[place]
                found[place] = column
        if guessed:
            said = _describe(name, guessed)
            read = "; the scores were read as probabilities" if self.scale is None else ""
            notes.append(said + (read if "fake_prob" in guessed else ""))
        return Named(found, notes)

    def _rename(self, written: list[str], known: Sequence[str], name: str) -> list[str]:
        """Returns the names after the columns that the caller named and those known were found."""
        places = {}
        for column, given in self.columns.items():
            same = [at for at, one in enumerate(written) if one == given]
            key = column_key(given)
            same = same or [at for at, one in enumerate(written) if column_key(one) == key]
            if len(same) != 1:
                raise unknown(f"column of {name}", given, written)
            places[same[0]] = column
        # A column whose name another one was given keeps its values under another name.
        taken = {column_key(column) for column in self.columns}
        rest = [
            f"{one} (as written)" if at not in places and column_key(one) in taken else one
            for at, one in enumerate(written)
        ]
        named = [places.get(at, one) for at, one in enumerate(rest)]
        matched = match_columns(named, known, name=name)
        return [one if self._keeps(one) else other for one, other in zip(named, matched)]

    def _keeps(self, column: str) -> bool:
        return bool(self.kept) and fnmatch.fnmatchcase(column, self.kept)


def parse_columns(text: str) -> dict[str, str]:
    """Returns the columns that a text `video_id=filename,label=true_label` names.

    Raises:
        UsageError: A part of the text is not `NAME=COLUMN`, or a name occurs twice.
    """
    columns: dict[str, str] = {}
    for part in text.split(","):
        column, _, given = (piece.strip() for piece in part.partition("="))
        if not column or not given or column in columns:
            raise UsageError(f"columns are named as video_id=filename,label=true_label, not {text}")
        columns[column] = given
    return columns


def _guess(column: str, found: Sequence[str], name: str) -> int | None:
    """Returns the place of the one column that can only be `column`, or None."""
    for names in GUESSES[column]:
        places = [at for at, one in enumerate(found) if column_key(one) in names.split()]
        if len(places) == 1:
            return places[0]
        if places and column in REQUIRED:
            may_be = ", ".join(found[at] for at in places)
            raise UsageError(
                f"{name}: {column} may be any of the columns {may_be}; name it, "
                f"{column}={found[places[0]]}"
            )
        if places:
            return None
    return None


def _describe(name: str, columns: Mapping[str, str]) -> str:
    pairs = ", ".join(f"{column}={given}" for column, given in columns.items())
    return f"{name}: columns were read as {pairs}"
