"""`dfjax VERB …`: the table of verbs, and the one place where errors become exit codes."""

import argparse
import importlib
import json
import os
import sys
import traceback
from collections.abc import Sequence
from typing import Any, NoReturn

from rich.text import Text

import dfjax
from dfjax import processes
from dfjax.commands.signals import exit_code, leave_imports_on_signals
from dfjax.console import make_result_console, one_line
from dfjax.errors import (
    FINDING,
    INTERRUPTED,
    OK,
    USAGE,
    RunError,
    UsageError,
    classify_os_error,
    is_full_disk,
    unknown,
)
from dfjax.files import finite
from dfjax.huge_pages import keep_memory, restart_with_huge_pages
from dfjax.import_paths import allow_import
from dfjax.object_stores import check_urls
from dfjax.process_discovery import join_processes
from dfjax.results import Result
from dfjax.training.interrupt import Stopped
from dfjax.xla_presets import use_xla_preset

VERBS = {
    "train": "train a detector from one config; the same command resumes",
    "evaluate": "score a trained model or foreign predictions: tables, plots, flags",
    "compare": "paired differences between detectors on the same videos",
    "why": "the gap between two numbers of one table, by cause",
    "reproduce": "recompute a metrics.json, and name what differs",
    "protocol": "the table of a protocol: detectors by test sets",
    "ablate": "train the rows of a table and compare them",
    "predict": "fake probability of videos, images and folders",
    "explain": "heat maps, deciding frames and their effect on a verdict",
    "probe": "how far a detector reacts to blends, compression and background",
    "report": "one page of HTML on detectors, their training and evaluations",
    "drift": "whether two sets of inputs differ: scores, sharpness, size, compression",
    "fuse": "one score from several detectors: votes, means, learned weights",
    "calibrate": "calibrated probabilities, and verdicts at guaranteed error rates",
    "defake": "restore the faces of videos and images with a trained generator",
    "harden": "fine-tune a detector on fakes that a generator restored",
    "data": "index, extract, pack and synthesise face clips",
    "models": "parameters, input and FLOPs of every config",
    "weights": "weights of other programs in and out; published ones by name",
    "export": "trained parameters in other formats",
    "bench": "speed and memory of the workloads, beside a PyTorch peer",
    "plan": "memory, work and time of a training step on TPUs and GPUs",
    "doctor": "versions, devices, codecs, detectors, free disk",
}

PREFIX = "--config."  # of an override on the command line
COMPUTING = (
    *("train", "ablate", "evaluate", "protocol", "predict", "calibrate", "defake", "bench"),
    *("probe", "explain", "harden"),
)
"""Verbs that fill memory step by step."""

IN_STORES = ("train", "evaluate", "predict", "export")  # verbs whose workdirs may be URLs
DIVIDED = ("train", "evaluate", "predict", "data features")
"""Verbs that several processes, also on several hosts, run together."""


class Arguments(argparse.Namespace):
    """The values of a verb's arguments, as attributes."""

    def select(self, *names: str) -> dict[str, Any]:
        """Returns some of the values as keyword arguments of a call."""
        return {name: getattr(self, name) for name in names}


class Parser(argparse.ArgumentParser):
    """An argument parser whose errors are one line with the command that helps.

    A verb with the default `overrides=[]` finds `--config.KEY=VALUE` there, as `KEY=VALUE`.
    """

    def parse_args(  # type: ignore[override]  # the overloads for namespaces of other types
        self, args: Sequence[str] | None = None, namespace: Arguments | None = None
    ) -> Arguments:
        """Returns the arguments; what argparse does not know is an error or an override."""
        parsed, rest = self.parse_known_args(args, namespace or Arguments())
        if hasattr(parsed, "overrides"):
            given = [item for item in rest if item.startswith(PREFIX)]
            parsed.overrides = [item.removeprefix(PREFIX) for item in given]
            rest = [item for item in rest if item not in given]
        if rest:
            self.error(f"unrecognized arguments: {' '.join(rest)}")
        keys = (item.partition("=") for item in getattr(parsed, "overrides", []))
        allowed = ("workdir", "ensemble") if self.prog.split()[-1] in IN_STORES else ()
        check_urls(vars(parsed) | {key: value for key, _, value in keys}, allowed)
        return parsed

    def error(self, message: str) -> NoReturn:
        """Raises the message as a `UsageError` instead of printing the whole usage."""
        raise UsageError(f"{message} (see `{self.prog} --help`)")


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one verb and returns its exit code (0, 1, 2, 75, 130: see the README)."""
    if argv is None:  # the whole process is ours
        argv = sys.argv[1:]
        verb = argv[0] if argv else ""
        if verb in COMPUTING:
            restart_with_huge_pages()
        leave_imports_on_signals(terminated=verb in ("train", "ablate", "harden"))
        if verb in COMPUTING:
            keep_memory()
    argv = list(argv)
    _quiet()
    try:
        use_xla_preset(os.environ)
        return _main(argv)
    except Exception as error:  # noqa: BLE001  # raised again if it is a bug
        code = _report(error)
        if processes.count() > 1:  # the usual end would wait for those that may wait for this one
            os._exit(code)
        return code
    except KeyboardInterrupt:
        print("dfjax: interrupted", file=sys.stderr)
        return INTERRUPTED


def _main(argv: list[str]) -> int:
    if not argv or argv[0] in ("-h", "--help"):
        print(_help())
        return 0 if argv else USAGE
    if argv[0] == "--version":
        print(f"dfjax {dfjax.__version__}")
        return 0
    if argv[0] not in VERBS:
        raise unknown("verb", argv[0], VERBS)
    return _run(argv[0], argv[1:])


def _report(error: Exception) -> int:
    """Prints the line of an error and returns its exit code; an error that is a bug is raised."""
    if isinstance(error, UsageError | RunError):
        print_line(f"dfjax: {error}", error=True)
        return USAGE if isinstance(error, UsageError) else FINDING
    if isinstance(error, BrokenPipeError):
        sys.stdout = open(os.devnull, "w")  # the reader left: nothing more to say
        return OK
    if reason := processes.explain(error):
        print_line(f"dfjax: {reason}", error=True)
        return FINDING
    if isinstance(error, OSError) and is_full_disk(error):
        print_line(f"dfjax: the disk is full: {error}", error=True)
        return FINDING
    if isinstance(error, OSError) and (code := classify_os_error(error)) is not None:
        print_line(f"dfjax: cannot use {error.filename}: {error.strerror}", error=True)
        return code
    if processes.count() == 1:
        raise error
    traceback.print_exception(error)
    return FINDING


def _run(verb: str, argv: list[str]) -> int:
    module = importlib.import_module(f"dfjax.commands.{verb}")
    args = make_parser(verb, module).parse_args(argv)
    if verb in DIVIDED or " ".join((verb, *argv[:1])) in DIVIDED:
        join_processes()
    try:
        return module.run(args) or OK
    except Stopped as stopped:
        print_line(f"dfjax: {stopped}; the same command resumes", error=True)
        outcome = {"status": str(stopped), "workdir": str(args.workdir)}
        print_json(outcome, indent=None if args.json else 2)
        return exit_code(stopped.reason)


def make_parser(verb: str, module: Any) -> Parser:
    """Returns the parser of `verb`: the module's docstring is the help, example included.

    `--json` is added to it, unless the verb has subverbs, whose parsers have it.
    """
    parser = Parser(
        prog=f"dfjax {verb}",
        description=module.__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    module.add_arguments(parser)
    if not hasattr(module, "SUBVERBS"):
        add_json(parser)
    return parser


def add_json(parser: Parser) -> None:
    """Adds `--json`, which every verb and subverb has."""
    help = "end standard output with one JSON object"
    parser.add_argument("--json", action="store_true", help=help)


def add_config(parser: Parser) -> None:
    """Adds `--config`, and the overrides `--config.KEY=VALUE` that `parse_args` collects."""
    metavar = "FILE|NAME[:VARIANT]"
    parser.add_argument("--config", required=True, metavar=metavar, help="the experiment")
    parser.set_defaults(overrides=[])


def add_accept(parser: Parser) -> None:
    """Adds `--accept`, for verbs that audit data."""
    add, help = parser.add_argument, "an audit error to accept"
    add("--accept", action="append", default=[], metavar="CODE", help=help)


def add_import(parser: Parser) -> None:
    """Adds `--import`, for verbs that load a detector whose model may be the user's own."""
    add, help = parser.add_argument, "module that defines the detector's own model; its code is run"
    add("--import", dest="module", type=allow_import, metavar="MODULE", help=help)


def print_line(text: str, *, error: bool = False) -> None:
    """Prints one line in which characters that could forge others are escaped (see `one_line`).

    Of several processes of a run only the first one prints results.

    Args:
        text: Line, which may hold names from files.
        error: Whether to print to standard error.
    """
    if error or processes.is_first():
        print(one_line(text), file=sys.stderr if error else sys.stdout, flush=True)


def show(args: Arguments, result: Result, *more: str, text: bool = True) -> int:
    """Prints what a call did, and returns the exit code.

    Args:
        args: Arguments of the verb.
        result: Its notes and errors go to standard error, its text to standard output.
        more: Further lines for standard output.
        text: Whether to print the text, and not only its notes, errors and JSON.
    """
    for note in result.list_notes():
        print_line(f"note: {note}", error=True)
    console = make_result_console()
    for part in (*result.describe(), *more) if text else ():
        if isinstance(part, str):
            print_line(part)
        else:
            console.print(part, soft_wrap=isinstance(part, Text), highlight=False)
    for error in result.list_errors():
        print_line(f"dfjax: {error}", error=True)
    return finish(args, result.to_json(), found=result.has_findings)


def finish(args: Arguments, value: Any, *, found: object = False) -> int:
    """Prints `value` as JSON if `--json` asks for it, and returns the exit code.

    Args:
        args: Arguments of the verb.
        value: Object to print.
        found: Whether there is a finding, or something was left out (exit code 1).
    """
    if args.json:
        print_json(value)
    return FINDING if found else OK


def print_json(value: Any, *, indent: int | None = None) -> None:
    """Prints `value` as JSON, on one line without `indent`; NaN becomes null."""
    if processes.is_first():
        print(json.dumps(finite(value), indent=indent), flush=True)


def _help() -> str:
    verbs = "\n".join(f"  {verb:<9} {what}" for verb, what in VERBS.items())
    return (
        f"usage: dfjax VERB …\n\n{(dfjax.__doc__ or '').splitlines()[0]}\n\n{verbs}\n\n"
        "`dfjax VERB --help` explains a verb, with an example.\n"
        "Start: bash launch/demo.sh, or dfjax train --config=dual_stream:smoke --workdir=runs/smoke"
    )


def _quiet() -> None:
    """Sets environment variables that suppress messages of libraries, except errors."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    os.environ.setdefault("OPENCV_LOG_LEVEL", "OFF")
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
    os.environ.setdefault("GRPC_VERBOSITY", "ERROR")


if __name__ == "__main__":
    sys.exit(main())
