"""Evaluate a trained detector, or predictions of any detector: metrics, plots and flags.

  dfjax evaluate --workdir runs/smoke --split test
  dfjax evaluate --workdir runs/dual --index celebdf/pack/index.parquet --out runs/dual/eval/celebdf
  dfjax evaluate --weights meso4.safetensors --index work/pack --out results
  dfjax evaluate --predictions scores.csv --out results

Writes predictions.parquet, metrics.json, roc.png, sheet.png (clips with their scores) and
curves.png (of the run) to --out, by default WORKDIR/eval/SPLIT. Without --out no file is written
for predictions. A table of them needs the columns video_id, label (1 = fake) and fake_prob or
logit; --columns names columns that are called otherwise, --scale says what scores are, and --scores
is the pattern of the columns of several detectors, which are evaluated and compared. Score files of
dfwb and JSON of DeepfakeBench (its lists of frames together with scores) are read, and written by
--write dfwb or --write deepfakebench.

  dfjax evaluate --predictions scores.csv --columns video_id=clip_name,fake_prob=p --scale percent
  dfjax evaluate --predictions wide.csv --scores 'prob_*' --out results

Of a table with several splits the rows of split test are evaluated, which a line says; thresholds
and checkpoints are chosen on those of val. --split all evaluates all rows.

--index is the index of the data to score (of a pack, or of crops, which are packed first); with
--predictions it gives the identities, so that people who are also in the training data are found.

--protocol deepfakebench-compat gives the numbers of that benchmark's conventions instead, which are
flagged (`dfjax why` explains the difference); --first-frames 32 is its number of frames. With rows
of split val, or --threshold-from, accuracy_at_val is at the threshold that is best there.

--mc-dropout, --ensemble and --flip score every clip several times: predictions.parquet then has the
columns fake_prob_sd, entropy and mutual_information, metrics.json the block `uncertainty` (how well
these predict wrong verdicts), and uncertainty.png and risk_coverage.csv have risk by coverage.

  dfjax evaluate --workdir runs/dual --mc-dropout 20 --ensemble runs/head last --flip

--robustness scores face crops under JPEG and H.264 compression, blur, noise, resizing, changes of
contrast and saturation, and dropped frames, at five levels each, and writes robustness.json,
.csv and .png: the AUC at each level, and the area under them with its interval. Names after it
choose some (jpeg h264 blur noise resize contrast saturation frame_drop); finished ones are kept.

  dfjax evaluate --workdir runs/dual --robustness jpeg blur

Where `dfjax calibrate` has calibrated the checkpoint, the block `calibration` has the reliability
and the shares of verdicts, and predictions.parquet the columns calibrated_prob and
conformal_verdict of the video of each row; fake_prob is never calibrated.

Where faces were detected, face_share in predictions.parquet is the share of a clip's frames with a
face; videos below eval.min_face_share of the config, which `predict` refuses, are flagged.

The score of a video is the mean fake_prob of its clips. The 95 % intervals are from 1,000 resamples
of groups of videos (group, origin_id or identities of the index), or of single videos without them.

--defake evaluates a generator on pairs of fakes and real videos: PSNR, SSIM, steadiness along the
optical flow, and with --detector how the scores change; beside the fakes as they are, and with the
histograms of the real videos. It writes restoration.json, restoration.csv and sheet.png.

  dfjax evaluate --defake runs/defake --detector runs/dual --identity runs/faces

Exit code 1: there is a flag of severity `error`, such as an identity that is also in training.
"""

import sys
from pathlib import Path
from typing import Any

from dfjax import processes
from dfjax.commands.detector_options import (
    JUDGING,
    SCORING,
    add_detector_source,
    add_scoring_options,
    add_verdict_options,
)
from dfjax.commands.evaluation_kinds import find_kind
from dfjax.commands.main import Arguments, Parser, add_import, make_parser, show
from dfjax.commands.table_options import add_number_options, add_table_options, read_options
from dfjax.errors import UsageError
from dfjax.evaluation.tables.column_names import FORMATS


def add_arguments(parser: Parser) -> None:
    """Adds the options of `dfjax evaluate`."""
    add, tables = parser.add_argument, "tables, .parquet or .csv"
    source = add_detector_source(parser)
    source.add_argument("--predictions", type=Path, nargs="+", metavar="FILE", help=tables)
    source.add_argument("--defake", type=Path, metavar="G", help="workdir of a generator")
    add("--detector", type=Path, metavar="W", help="detector that --defake is to fool")
    add("--identity", type=Path, metavar="W", help="model whose embeddings compare faces")
    add("--split", help="train, val, test; all rows of tables: all (test)")
    add("--index", type=Path, metavar="FILE", help="other data than the run's")
    add("--checkpoint", default="best", help="best (default) or last")
    add("--out", type=Path, metavar="DIR", help="default: WORKDIR/eval/SPLIT")
    add_table_options(parser)
    add_number_options(parser)
    add("--threshold-from", metavar="FILE", help="validation predictions that fix a threshold")
    add("--write", choices=FORMATS, metavar="FORMAT", help="scores for dfwb or deepfakebench too")
    add_scoring_options(parser)
    add_verdict_options(parser)
    add("--robustness", nargs="*", metavar="NAME", help="AUC under corruptions (all)")
    add_import(parser)


def run(args: Arguments) -> int:
    """Evaluates and returns the exit code."""
    kind = find_kind(args, make_parser("evaluate", sys.modules[__name__]))
    if kind != "workdir" and processes.count() > 1:
        raise UsageError("only a detector's scores are divided over processes: use one process")
    if args.defake:
        from dfjax.inference.restoring.evaluation import evaluate_restoration

        options = args.select("split", "index", "checkpoint", "out", "identity")
        return show(args, evaluate_restoration(args.defake, args.detector, **options))
    scoring = args.select(*SCORING)
    if args.write and args.predictions and not args.out:
        raise UsageError("--write needs --out")
    if args.robustness is not None:
        from dfjax.inference.robustness import evaluate_robustness

        chosen = args.select("index", "out", "checkpoint", "model") | scoring
        chosen |= {"split": args.split or "test", "corruptions": args.robustness}
        return show(args, evaluate_robustness(args.workdir or args.weights, **chosen))
    options = args.select("split", "index") | read_options(args)
    if args.scores:
        from dfjax.inference.tables import evaluate_detectors, make_options

        made = make_options(**options)
        report: Any = evaluate_detectors(args.predictions, args.scores, made, out=args.out)
    else:
        from dfjax.inference.evaluate import evaluate

        options |= args.select("model", "out", "checkpoint", *JUDGING) | scoring
        report = evaluate(args.workdir or args.weights or args.predictions, **options)
    files = report.write_scores(args.write) if args.write else []
    return show(args, report, *(f"written to {file}" for file in files))
