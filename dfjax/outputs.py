"""Checks of outputs before anything is written: no input and no file of the user's is replaced.

A file that exists may be replaced only if dfjax wrote it. That is told by the file itself (the
metadata of pictures, tables and weights, the keys of JSON files), so that it also holds for files
that were moved or made by an earlier version.
"""

import json
import os
from collections.abc import Callable, Iterable
from pathlib import Path

from dfjax.errors import FileError, UsageError

AnyPath = str | os.PathLike[str]

MARK = ".dfjax"
"""Name of the empty file in a folder that dfjax fills over several calls."""

COMMENT = "<!-- dfjax -->"
"""Comment at the start of our pages of HTML and Markdown, and of SVG drawings."""

TEX_COMMENT = "% dfjax:"
"""Comment at the start of our LaTeX files."""

PBTXT_COMMENT = "# dfjax: a model for Triton Inference Server"
"""Comment at the start of our configurations of models."""

SOFTWARE = {"Software": "dfjax"}
"""Metadata of our PNG files."""

BESIDE = (
    *("metrics.json", "predictions.jsonl", "audit.json", "history.csv", "table.json"),
    "comparison.json",
)

HEAD = 2**16  # bytes that are read to recognise a file
MOST_JSON = 2**26  # bytes of a JSON file that is read to recognise it

JSON_KEYS = (
    {"overall", "by_dataset", "flags"},  # metrics.json
    {"findings", "index_sha256"},  # audit.json
    {"detector", "margin", "jpeg_quality"},  # extraction.json
    {"video_id", "path", "stage", "error"},  # errors.jsonl and unmatched.jsonl
    {"item", "stage", "error"},  # dead letters of a pipeline of Beam
    {"input", "status", "checkpoint_sha256"},  # predictions.jsonl
    {"step", "epoch", "split"},  # metrics.jsonl
    {"run_id", "server", "experiment"},  # mlflow.json
    {"title", "rows[].row", "rows[].change", "rows[].video_auc_each"},  # table.json of an ablation
    {"title", "metric", "protocol", "columns", "rows"},  # table.json of a protocol
    {"comparison", "left_out", "resampled"},  # comparison.json
    {"detector_auc", "shortcuts"},  # probe.json
    {"deciding_frames", "areas"},  # explanation.json
    {"dfjax_scores"},  # scores for DeepfakeBench
    {"arms", "n", "checkpoint", "detector"},  # restoration.json
    {"rounds", "generator", "detector"},  # harden.json
    {"dataset", "identities", "look"},  # synthetic.json
    {"dfjax_calibration"},  # calibration.json
    {"dfjax_fusion"},  # file of `dfjax fuse`
    {"robustness", "left_out"},  # robustness.json
)
"""Keys of our JSON objects and JSON lines: one of these sets is in each. `rows[].` precedes keys of
the first object in the array `rows`."""

HISTORY = b"epoch,step,train_loss,train_accuracy,"
CSV_HEADERS = (
    *(b"rank,video_id,dataset,", b"row,change,seed", HISTORY),
    *(b"a,b,value_a,value_b,", b"detector \\ test set,"),
    b"dataset,key,compression,label,score,status,method\n",
    *(b"corruption,level,value,video_auc,", b"coverage,risk_by_", b"video_id,group,arm,"),
)
"""First columns of our CSV files: a ranking, a table and the history of runs, a comparison, the
table of a protocol, scores for dfwb, AUCs under corruptions, risks by coverage, and measures of
restored fakes."""


def check_outputs(outputs: Iterable[AnyPath], *, inputs: Iterable[AnyPath] = ()) -> None:
    """Checks that the files to write are neither inputs nor files of the user's.

    Args:
        outputs: Files that are about to be written.
        inputs: Files that the same call reads.

    Raises:
        UsageError: An output exists and is an input, a folder, or a file that dfjax did not write.
    """
    read = {identity for path in inputs if (identity := _identify(path)) is not None}
    for output in map(Path, outputs):
        identity = _identify(output)
        if identity is None:
            continue
        if identity in read:
            raise UsageError(f"{output} is an input and would be overwritten; write elsewhere")
        if output.is_dir():
            raise UsageError(f"{output} is a folder; name a file")
        if not is_ours(output):
            raise UsageError(
                f"{output} exists and was not written by dfjax; write elsewhere, or remove it first"
            )


def check_folder(folder: Path, *, inputs: Iterable[AnyPath], owner: Path) -> None:
    """Checks that a folder may be filled, where repeating a call replaces files.

    Args:
        folder: Folder to fill.
        inputs: Files that the same call reads.
        owner: File outside of the folder that is there if dfjax made it; the other sign is `MARK`.

    Raises:
        UsageError: The folder holds files that dfjax did not write, or an input is inside of it.
    """
    ours = owner.is_file() or (folder / MARK).is_file()
    if folder.exists() and not ours and (not folder.is_dir() or any(folder.iterdir())):
        raise UsageError(f"{folder} holds files that dfjax did not write; write elsewhere")
    place = os.path.realpath(folder)
    parents: dict[str, str] = {}
    for path in inputs:
        parent = os.path.dirname(os.fspath(path))
        real = parents.setdefault(parent, os.path.realpath(parent))
        if real == place or real.startswith(place + os.sep):
            raise UsageError(f"{path} is an input, and {folder} is written; write elsewhere")


def check_inside(path: AnyPath, folder: AnyPath) -> None:
    """Checks that no symbolic link makes a path below a folder lead out of it.

    A folder that is filled further may come from somebody else, and what its links lead to must not
    be changed.

    Args:
        path: File or folder that is about to be written or emptied; it need not exist.
        folder: Folder that it is written to, which may itself be reached by links.

    Raises:
        FileError: `path` leads elsewhere.
    """
    place, real = os.path.realpath(folder), os.path.realpath(path)
    if real != place and not real.startswith(place.rstrip(os.sep) + os.sep):
        raise FileError(
            f"{path} leads out of {folder} through a symbolic link, and nothing is written there; "
            "replace the link, or write elsewhere"
        )


def check_links(folder: Path) -> None:
    """Checks every symbolic link below a folder; see `check_inside`."""
    for parent, folders, files in os.walk(folder):
        for name in (*folders, *files):
            path = os.path.join(parent, name)
            if os.path.islink(path):
                check_inside(path, folder)


def mark_folder(folder: Path) -> None:
    """Makes a folder that later calls may fill again; see `check_folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / MARK).touch()


def is_ours(path: AnyPath) -> bool:
    """Returns whether dfjax wrote a file, or it is empty, so that replacing it loses nothing."""
    path = Path(path)
    if not path.is_file():
        return False
    recognise = RECOGNISERS.get(path.suffix.lower())
    return path.stat().st_size == 0 or (recognise is not None and recognise(path))


def _identify(path: AnyPath) -> tuple[int, int] | None:
    try:
        status = os.stat(path)
    except (OSError, ValueError):
        return None
    return status.st_dev, status.st_ino


def _head(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(HEAD)


def _is_our_picture(path: Path) -> bool:
    head = _head(path)
    before = b"tEXtSoftware\0Matplotlib" in head and _is_beside_ours(path)
    return b"tEXtSoftware\0dfjax" in head or before


def _is_our_page(path: Path) -> bool:
    head = _head(path)
    return COMMENT.encode() in head or (b"dfjax" in head and _is_beside_ours(path))


def _is_beside_ours(path: Path) -> bool:
    """Returns whether a file is beside one of ours, as the unmarked ones of version 0.1 are."""
    return any(is_ours(path.with_name(name)) for name in BESIDE)


def _is_our_film(path: Path) -> bool:
    """Returns whether a film is beside the numbers that `dfjax explain` wrote with it."""
    return path.name == "explanation.mp4" and is_ours(path.with_name("explanation.json"))


def _is_our_latex(path: Path) -> bool:
    return _head(path).startswith(TEX_COMMENT.encode())


def _is_our_pbtxt(path: Path) -> bool:
    return _head(path).startswith(PBTXT_COMMENT.encode())


def _is_our_text_table(path: Path) -> bool:
    return _head(path).startswith(CSV_HEADERS)


def _is_our_table(path: Path) -> bool:
    """Returns whether the footer of a Parquet file has entries of ours."""
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - 8))
        length = int.from_bytes(file.read(4), "little")
        if file.read(4) != b"PAR1" or length > size - 8:
            return False
        file.seek(size - 8 - length)
        return b"dfjax" in file.read(length)


def _is_our_weights(path: Path) -> bool:
    head = _head(path)
    return b'"__metadata__"' in head and b'"format":"\\"dfjax\\""' in head.replace(b" ", b"")


def _is_our_program(path: Path) -> bool:
    """Returns whether a program names dfjax as its producer, near its start or its end."""
    with path.open("rb") as file:
        head = file.read(HEAD)
        file.seek(max(0, path.stat().st_size - HEAD))
        return b"dfjax" in head + file.read()


def _is_our_json(path: Path) -> bool:
    if path.stat().st_size > MOST_JSON:
        return False
    return _has_our_keys(path.read_bytes())


def _is_our_lines(path: Path) -> bool:
    with path.open("rb") as file:
        return _has_our_keys(file.readline(MOST_JSON))


def _has_our_keys(text: bytes) -> bool:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return False
    if not isinstance(value, dict):
        return False
    rows = value.get("rows")
    first = rows[0] if isinstance(rows, list) and rows else None
    inside = first if isinstance(first, dict) else ()
    found = {*value, *(f"rows[].{key}" for key in inside)}
    return any(keys <= found for keys in JSON_KEYS)


RECOGNISERS: dict[str, Callable[[Path], bool]] = {
    ".png": _is_our_picture,
    ".mp4": _is_our_film,
    ".html": _is_our_page,
    ".md": _is_our_page,
    ".tex": _is_our_latex,
    ".pbtxt": _is_our_pbtxt,
    ".svg": _is_our_page,
    ".csv": _is_our_text_table,
    ".parquet": _is_our_table,
    ".safetensors": _is_our_weights,
    ".onnx": _is_our_program,
    ".stablehlo": _is_our_program,
    ".json": _is_our_json,
    ".jsonl": _is_our_lines,
}
"""Functions that recognise a file of ours, by its suffix. Files with other suffixes never are."""
