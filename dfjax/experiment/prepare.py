"""Prepares the folder of a data set for training, in one call that can be repeated.

The stages are index → split → face crops → optical flow (optional) → pack → audit. The folder OUT
then contains

    source/                        index.parquet and split.parquet of the videos, errors.jsonl
    crops/ index.parquet           the face crops and their index, errors.jsonl
    flow/                          optical flow and its index
    pack/                          the pack, for `data.path`
    audit.json audit.html          the audit of the data
    prepare.json                   the arguments

Finished stages are reused, and an interrupted one is resumed. A call with other arguments is an
error once face crops exist; before that the index is built again.
"""

import dataclasses
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import dfjax
from dfjax.console import say
from dfjax.data.faces.extract_index import SETTINGS_FILE, extract_index
from dfjax.data.index.adapters import AdapterFunction
from dfjax.data.index.audit import check_accepted
from dfjax.data.index.build import build_index
from dfjax.data.index.error_log import read_errors
from dfjax.data.index.frame_paths import rebase_frames
from dfjax.data.index.records import read_index, write_index
from dfjax.data.index.split_index import split_index
from dfjax.data.store.flow_index import write_flow
from dfjax.data.store.pack import pack
from dfjax.errors import RunError, UsageError
from dfjax.experiment.data_audit import (
    audit_data,
    describe_audit,
    list_refused,
    read_report,
)
from dfjax.experiment.prepare_plan import PreparePlan, describe_plan, make_plan
from dfjax.files import hash_file, lock_folder, write_json
from dfjax.json_files import read_json
from dfjax.object_stores import refuse_urls
from dfjax.results import Result

ARGUMENTS_FILE = "prepare.json"
COMMAND = "dfjax data prepare"  # recorded in the metadata of the indexes
SHOWN = 20  # inputs left out that a description lists; all are in the files

Limits = dict[str, Any]
"""Arguments `workers` and `time_limit` of the stages that open files."""


@dataclasses.dataclass(frozen=True)
class PrepareReport(Result):
    """The result of a preparation.

    Attributes:
        pack: Folder of the pack, for `data.path`.
        videos: Number of videos in the pack.
        frames: Number of crops in the pack.
        crop_size: Side of the crops in pixels.
        left_out: Inputs that could not be used, `{"video_id", "path", "stage", "error"}`.
        audit: Content of `audit.json`.
    """

    pack: Path
    videos: int
    frames: int
    crop_size: int
    left_out: list[dict[str, str]]
    audit: dict[str, Any]

    @property
    def has_findings(self) -> bool:
        """Whether inputs were left out, or an audit error is not accepted."""
        return bool(self.left_out or list_refused(self.audit))

    def describe(self) -> list[str]:
        """Returns the lines of the audit, and one that counts videos and frames."""
        size = self.crop_size
        counts = f"{self.videos} videos, {self.frames} frames of {size}x{size}"
        return [*describe_audit(self.audit), f"{self.pack}: {counts}"]

    def list_errors(self) -> list[str]:
        """Returns a line for each of the first inputs that were left out."""
        return [f"{entry['video_id']}: {entry['error']}" for entry in self.left_out[:SHOWN]]

    def to_json(self) -> dict[str, Any]:
        """Returns the result as `dfjax data prepare --json` prints it."""
        counts = {"videos": self.videos, "frames": self.frames, "crop_size": self.crop_size}
        listed = {"left_out": self.left_out, "findings": self.audit["findings"]}
        return {"pack": str(self.pack)} | counts | listed


def prepare(
    root: str | os.PathLike[str],
    out: str | os.PathLike[str],
    *,
    adapter: str | AdapterFunction = "folder",
    refresh: bool = False,
    accept: Sequence[str] = (),
    workers: int | None = None,
    time_limit: float = 600.0,
    **options: Any,
) -> Path:
    """Prepares the videos of a data set for training and returns the folder of the pack.

    The videos are listed and split, faces are cropped and packed, and the data are audited. Inputs
    that could not be used are listed in the `errors.jsonl` files below `out`. Repeating the call
    reuses finished stages and resumes an interrupted one.

    Args:
        root: Folder of the data set, or its CSV file.
        out: Folder for the results.
        adapter: Name of an adapter (`folder` expects `real/` and `fake/`), import path
            `package.module:function` of your own adapter, or the function itself.
        refresh: Whether the data set is listed again, to find new files.
        accept: Codes of audit errors that are accepted.
        workers: Number of processes; None for the number of cores.
        time_limit: Time limit per video in seconds, after which it is left out.
        **options: Arguments of `make_plan`: the split, the frames, settings of face detection and
            cropping, and options of the adapter.

    Raises:
        UsageError: An argument is invalid, `out` was prepared with other arguments, or no video
            can be used.
        RunError: `out` was removed in the meantime.
    """
    plan = make_plan(adapter, **options)
    limits: Limits = {"workers": workers, "time_limit": time_limit}
    return run_plan(plan, root, out, refresh=refresh, accept=accept, **limits).pack


def run_plan(
    plan: PreparePlan,
    root: str | os.PathLike[str],
    out: str | os.PathLike[str],
    *,
    refresh: bool = False,
    accept: Sequence[str] = (),
    workers: int | None = None,
    time_limit: float = 600.0,
) -> PrepareReport:
    """Runs the unfinished stages of a plan; the other arguments are those of `prepare`.

    Raises:
        UsageError: An argument is invalid, `out` was prepared with other arguments, or no video
            can be used.
        RunError: `out` was removed in the meantime.
    """
    check_accepted(accept)
    refuse_urls([root, out], "root and out")
    root, out = Path(root), Path(out)
    limits: Limits = {"workers": workers, "time_limit": time_limit}
    with lock_folder(out):
        _claim(plan, root, out)
        videos = _list_videos(plan, root, out / "source", refresh, limits)
        index = _cut_faces(plan, videos, out, limits)
        if plan.flow_stride is not None:
            flow = write_flow(
                index, out / "flow", stride=plan.flow_stride, command=COMMAND, **limits
            )
            index = flow.index
            say(f"flow: {flow.flows} flow fields of {flow.videos} videos")
        packed = pack(index, out / "pack", replace=True)
        say(f"pack: {packed.videos} videos, {packed.frames} crops{_reused(packed.reused)}")
        content = _audit(out, accept, limits)
        if not (out / ARGUMENTS_FILE).is_file():
            raise RunError(
                f"{out} was removed while it was written: delete what is there, and run the same "
                "command again"
            )
    left_out = [
        *read_errors(out / "source"), *read_errors(out), *read_errors(out / "flow"), *packed.errors
    ]  # fmt: skip
    if left_out:
        say(f"{len(left_out)} inputs were left out: see the errors.jsonl files below {out}")
    return PrepareReport(
        out / "pack", packed.videos, packed.frames, packed.crop_size, left_out, content
    )


def _claim(plan: PreparePlan, root: Path, out: Path) -> None:
    """Records the arguments in `out`, or checks that it was prepared with the same arguments."""
    file = out / ARGUMENTS_FILE
    wanted = describe_plan(plan, root)
    if file.is_file():
        # A folder of an older version lacks arguments that have been added since.
        defaults = describe_plan(make_plan(plan.adapter), root)
        remedy = "choose another folder, or delete this one"
        used = defaults | read_json(file, {str: object}, remedy=remedy)
        changed = [f"{k}: {used.get(k)} -> {v}" for k, v in wanted.items() if used.get(k) != v]
        if not changed:
            return
        if (out / SETTINGS_FILE).exists() or (out / "index.parquet").exists():
            raise UsageError(
                f"{out} was prepared with other arguments ({'; '.join(changed)}); choose another "
                "folder or delete this one"
            )
        (out / "source" / "index.parquet").unlink(missing_ok=True)
    elif out.exists() and any(out.iterdir()):
        raise UsageError(f"{out} holds other files; choose an empty folder")
    write_json(file, wanted)


def _list_videos(
    plan: PreparePlan, root: Path, folder: Path, refresh: bool, limits: Limits
) -> Path:
    """Builds the index of the videos, unless it exists, splits it, and returns the result."""
    index, split = folder / "index.parquet", folder / "split.parquet"
    reused = index.is_file() and not refresh
    if not reused:
        report = build_index(
            plan.adapter, root, index, default_split=plan.default_split or "none", command=COMMAND,
            **limits, **plan.options,
        )  # fmt: skip
        for note in report.notes:
            say(f"note: {note}")
    ratios, seed = (None, None) if plan.by == "official" else (plan.ratios, plan.seed)
    done = split_index(index, split, by=plan.by, ratios=ratios, seed=seed, command=COMMAND)
    for note in done.notes:
        say(f"note: {note}")
    counts = done.table.loc["all"].drop("all").to_dict()
    shown = ", ".join(f"{name} {n}" for name, n in counts.items())
    say(f"index: {done.videos} videos ({shown}){_reused(reused)}")
    return split


def _cut_faces(plan: PreparePlan, videos: Path, out: Path, limits: Limits) -> Path:
    """Extracts face crops, unless the data set consists of crops, and returns their index."""
    target = out / "index.parquet"
    table = read_index(videos)
    if table["frames_dir"].notna().all() and not plan.recut:
        if plan.settings.masks:
            raise UsageError(
                "masks are cropped together with faces, but the data set consists of face crops: "
                "leave masks out, or crop them as they are with the detector `none`"
            )
        write_index(rebase_frames(table, videos.parent, out), target, command=COMMAND)
        say(f"faces: the data set consists of face crops, {len(table)} videos")
        return target
    report = extract_index(videos, out, plan.settings, command=COMMAND, **limits)
    for note in report.notes:
        say(f"note: {note}")
    again = f", {report.reused} of the videos reused" if report.reused else ""
    say(f"faces: {report.crops} crops of {report.videos} videos{again}")
    for line in report.describe_faces():
        say(f"faces: {line}")
    return target


def _audit(out: Path, accept: Sequence[str], limits: Limits) -> dict[str, Any]:
    """Returns the audit of the pack, which is only computed again if the pack has changed."""
    content = read_report(out)
    known = (hash_file(out / "pack" / "index.parquet"), dfjax.__version__, sorted(set(accept)))
    if content and (content["index_sha256"], content["version"], content["accepted"]) == known:
        return content
    return audit_data(out / "pack", out, accept=accept, **limits)


def _reused(reused: bool) -> str:
    return ", reused" if reused else ""
