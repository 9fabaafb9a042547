"""One page of HTML on one or several detectors, which needs no other file and no network.

  dfjax report --workdir runs/first
  dfjax report --workdir runs/first runs/second --out both.html

The page shows every evaluation in WORKDIR/eval (of others by --evaluation, for the first workdir):
metrics with intervals and flags, ROC, precision and recall, reliability, scores by manipulation,
metrics by person, and the worst errors with thumbnails. A panel says what the numbers rest on:
splits, audit and what was accepted of it, how the checkpoint was chosen, versions, seed, git
revision and hashes. Training curves, the diagram of the model, and the calibration, robustness and
probe follow where their files are there. Several detectors are compared.

Writes report.html to the first workdir, or --out. Nothing is trained or scored.
"""

from pathlib import Path

from dfjax.commands.main import Arguments, Parser, show


def add_arguments(parser: Parser) -> None:
    """Adds the options of `dfjax report`."""
    add = parser.add_argument
    add("--workdir", type=Path, nargs="+", required=True, metavar="DIR", help="training runs")
    add("--out", type=Path, metavar="FILE", help="HTML file (report.html in the first workdir)")
    add("--evaluation", type=Path, nargs="+", default=[], metavar="DIR", dest="evaluations",
        help="folders of evaluations outside of the first workdir")  # fmt: skip


def run(args: Arguments) -> int:
    """Writes the page and returns the exit code."""
    from dfjax.inference.reporting.report import report

    return show(args, report(args.workdir, **args.select("out", "evaluations")))
