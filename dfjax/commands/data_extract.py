r"""Detect faces and cut them out: OUT/crops/VIDEO_ID/FRAME.jpg and OUT/index.parquet.

For example:

  dfjax data extract --index work/index.parquet --out work/crops
  dfjax data extract --index work/index.parquet --out work/crops --every 3 --size 256

  dfjax data extract --index work/index.parquet --out work/aligned --detector yunet \
    --detector-model yunet.onnx --align --min-quality score=0.8

The face that is large, lasts and is central is followed; where detection misses it the box is
interpolated, and a video without any face gives centre crops (face_found is false, both counted).
--faces mask takes the face that the data set's manipulation mask covers, --faces all every one that
lasts: face k > 0 is a row VIDEO_ID#k, with k in the column face. --align turns faces upright by
five landmarks. Every crop's quality (sharpness), face_size, face_score, face_frontal and
face_visible are stored; --min-quality leaves crops out.

Faces found by another program (--detector precomputed --detector-model FILE) are JSON
{VIDEO: {FRAME: {"boxes": [[x0, y0, x1, y1], …], "landmarks": [[x, y, …], …]}}} or CSV with columns
video, frame, x0, y0, x1, y1 and lx0, ly0, …, lx4, ly4; VIDEO is a video_id or a path of the index.

The same command continues where an interrupted one stopped. Videos that cannot be read are left
out, listed in OUT/errors.jsonl, and the exit code is then 1.
"""

import argparse
import functools
import os
import shlex
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from dfjax.commands.main import add_json, print_json
from dfjax.console import track
from dfjax.data.index.error_log import ErrorLog
from dfjax.errors import FINDING, OK, UsageError

if TYPE_CHECKING:
    import pandas as pd

    from dfjax.data.faces.extract import Fields, Settings
    from dfjax.data.faces.extract_index import Extraction, RunTasks


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of `dfjax data extract`."""
    parser.add_argument("--index", required=True, help="from `dfjax data index`")
    parser.add_argument("--out", required=True, help="folder for crops and the new index")
    parser.add_argument(
        "--detector", default="haar", help="haar (default), yunet, mtcnn, precomputed or none"
    )
    parser.add_argument(
        "--detector-model", metavar="FILE", help="YuNet's ONNX file; JSON or CSV of precomputed"
    )
    parser.add_argument("--faces", default="best", help="best (default), mask or all")
    parser.add_argument("--align", action="store_true", help="turn faces upright by landmarks")
    parser.add_argument(
        "--min-quality", action="append", default=[], metavar="NAME=X",
        help="leave out crops below: sharpness, size (px), score, frontal, visible (0 to 1)",
    )  # fmt: skip
    frames = parser.add_mutually_exclusive_group()
    frames.add_argument("--frames", type=int, help="per video, spread evenly (32)")
    frames.add_argument("--every", type=int, help="every N-th frame instead")
    parser.add_argument("--size", type=int, default=256, help="side of a crop in px (256)")
    parser.add_argument("--margin", type=float, default=1.3, help="crop side / face side (1.3)")
    parser.add_argument("--workers", type=int, default=os.cpu_count(), help="processes (cores)")
    parser.add_argument("--time-limit", type=float, default=600.0, help="seconds a video (600)")
    parser.add_argument(
        "--beam-runner", metavar="NAME", help="run on Apache Beam: DirectRunner, FlinkRunner, …"
    )
    parser.add_argument(
        "--beam-options",
        default="",
        metavar="TEXT",
        help="of that runner, one text: --beam-options=--flink_master=…",
    )
    add_json(parser)


def run(args: argparse.Namespace) -> int:
    """Extracts what is missing and writes the index; returns 1 if videos had to be left out."""
    from dfjax.data.faces.extract_index import (
        check_ids,
        check_settings,
        extract_index,
        merge,
        open_output,
    )
    from dfjax.data.index.records import read_index, write_index

    _check(args)
    settings = _make_settings(args)
    check_settings(settings)  # a wrong name should not cost a worker each
    run = _make_runner(args)
    index = read_index(args.index)
    out = Path(args.out)
    if (out / "index.parquet").exists() and (out / "index.parquet").samefile(args.index):
        raise UsageError(f"--out {out} would overwrite the index it reads; choose another folder")
    check_ids(index, out, settings)
    if args.faces == "mask" and ("mask_path" not in index or index["mask_path"].isna().all()):
        print("note: the index names no masks: the same as --faces best", file=sys.stderr)
    open_output(out, settings)
    log = ErrorLog(out / "errors.jsonl")
    try:
        results, reused = _collect(extract_index(index, out, settings, run), index, log)
    except KeyboardInterrupt:
        print("dfjax: finished videos are kept; the same command continues", file=sys.stderr)
        raise
    if not results:
        raise UsageError(f"none of the {len(index)} videos can be read; see {log.path}")
    extracted = merge(index, results)
    write_index(extracted, out / "index.parquet", command=" ".join(["dfjax", *sys.argv[1:]]))
    _report(extracted, reused, log, args)
    return FINDING if log.count else OK


def _check(args: argparse.Namespace) -> None:
    for name in ("frames", "every", "size", "margin", "workers", "time_limit"):
        value = getattr(args, name)
        if value is not None and not 0 < value < float("inf"):
            raise UsageError(f"--{name.replace('_', '-')} must be positive, not {value:g}")


def _make_settings(args: argparse.Namespace) -> "Settings":
    from dfjax.data.faces.extract import Settings

    return Settings(
        detector=args.detector,
        detector_model=args.detector_model,
        frames=None if args.every else args.frames or 32,
        every=args.every,
        size=args.size,
        margin=args.margin,
        align=args.align,
        faces=args.faces,
        min_quality=tuple(sorted(map(_parse_threshold, args.min_quality))),
    )


def _parse_threshold(text: str) -> tuple[str, float]:
    name, _, value = text.partition("=")
    try:
        return name, float(value)
    except ValueError:
        raise UsageError(f"--min-quality {text!r} is not of the form NAME=NUMBER") from None


def _make_runner(args: argparse.Namespace) -> "RunTasks":
    if args.beam_runner is None:
        if args.beam_options:
            raise UsageError("--beam-options needs --beam-runner")
        from dfjax.data.faces.worker_pool import run_tasks

        return functools.partial(run_tasks, workers=args.workers, time_limit=args.time_limit)
    from dfjax.data.faces.beam_runner import check_beam, run_on_beam

    check_beam(args.beam_runner)
    return functools.partial(
        run_on_beam,
        runner=args.beam_runner,
        options=shlex.split(args.beam_options),
        folder=Path(args.out),
        time_limit=args.time_limit,
    )


def _collect(
    extractions: "Iterable[Extraction]", index: "pd.DataFrame", log: ErrorLog
) -> tuple[dict[int, list["Fields"]], int]:
    """Returns the new columns by row, and how many rows were there already."""
    results, reused = {}, 0
    for position, rows, error, again in track(extractions, total=len(index), what="videos"):
        if rows is not None:
            results[position] = rows
            reused += again
        else:
            row = index.iloc[position]
            path = row["path"] if isinstance(row["path"], str) else ""
            video_id = row["video_id"]
            log.add(video_id=video_id, path=path, stage="extract", error=str(error))
    return results, reused


def _report(index: "pd.DataFrame", reused: int, log: ErrorLog, args: argparse.Namespace) -> None:
    found = [flag for flags in index["face_found"] for flag in flags]
    no_face = [row.video_id for row in index.itertuples() if not any(row.face_found)]
    again = f", {reused} of them already there" if reused else ""
    print(f"{args.out}: {len(index)} videos{again}, {len(found)} crops")
    print(f"a face in {sum(found)} of {len(found)} frames; the others are interpolated")
    if no_face:
        print(f"no face in {len(no_face)} videos (centre crops): {', '.join(no_face[:10])}")
    if log.count:
        print(f"{log.count} videos could not be read and were left out: {log.path}")
    if args.json:
        print_json(
            {
                "index": str(Path(args.out) / "index.parquet"),
                "videos": len(index),
                "reused": reused,
                "crops": len(found),
                "faces_found": sum(found),
                "videos_without_face": no_face,
                "unreadable": log.count,
            }
        )
