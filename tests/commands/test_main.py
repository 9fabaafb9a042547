import importlib
import json
import math
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from rich.text import Text

import dfjax
from dfjax.commands import main as main_module
from dfjax.commands.data import SUBVERBS
from dfjax.commands.main import Arguments, Parser, main, make_parser, print_json, show
from dfjax.errors import UsageError
from dfjax.files import finite
from dfjax.results import Result
from dfjax.training.interrupt import Stopped


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["trian"], "Did you mean 'train'"),
        (["doctor", "--jsno"], "--jsno"),
        (["export", "--to", "safetensors", "--out", "f"], "--workdir"),
        (["export", "--workdir", "w", "--to", "safetensor", "--out", "f"], "'safetensors'"),
    ],
)
def test_wrong_usage_is_one_line_and_2(argv, message, capsys):
    assert main(argv) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("dfjax: ") and captured.err.count("\n") == 1
    assert message in captured.err


def test_without_a_verb_the_help_and_2(capsys):
    assert main([]) == 2
    text = capsys.readouterr().out
    assert main(["--help"]) == 0
    assert capsys.readouterr().out == text
    assert all(verb in text for verb in main_module.VERBS)


def test_a_place_that_cannot_be_written_is_one_line_and_2(tmp_path, capsys):
    file = tmp_path / "file"
    file.write_text("in the way")
    for out in (file, file / "below"):
        assert main(["data", "synth", "--out", str(out)]) == 2
        err = capsys.readouterr().err
        assert err.startswith(f"dfjax: cannot use {file}") and err.count("\n") == 1


def test_version(capsys):
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"dfjax {dfjax.__version__}\n"


@pytest.mark.parametrize("verb", main_module.VERBS)
def test_every_verb_teaches_with_an_example(verb, capsys):
    with pytest.raises(SystemExit) as stopped:
        main([verb, "--help"])
    assert stopped.value.code == 0
    text = capsys.readouterr().out
    assert f"dfjax {verb}" in text.partition("usage:")[2].partition("\n")[2], "an example"


def run_stub(monkeypatch, run):
    stub = SimpleNamespace(__doc__="A stub.", add_arguments=lambda parser: None, run=run)
    monkeypatch.setattr(main_module.importlib, "import_module", lambda name: stub)
    return main(["doctor"])


def test_errors_become_exit_codes(monkeypatch, capsys):
    def raises(error):
        def run(args):
            raise error

        return run

    assert run_stub(monkeypatch, lambda args: None) == 0
    assert run_stub(monkeypatch, lambda args: 1) == 1
    assert run_stub(monkeypatch, lambda args: 75) == 75
    assert run_stub(monkeypatch, raises(UsageError("no such thing"))) == 2
    assert run_stub(monkeypatch, raises(KeyboardInterrupt())) == 130
    assert capsys.readouterr().err == "dfjax: no such thing\ndfjax: interrupted\n"
    with pytest.raises(ZeroDivisionError):  # a fault of ours keeps its traceback
        run_stub(monkeypatch, raises(ZeroDivisionError()))


class Copied(Result):
    """A result with everything that a verb prints."""

    notes = ("names are new",)

    def __init__(self, out, lost):
        self.out, self.lost = out, lost

    def describe(self):
        return [f"{self.out}: copied", Text("[b]as it is[/b] 1")]

    def list_errors(self):
        return [f"{name}: lost" for name in self.lost]


def test_a_result_is_printed(capsys):
    out = Path("a\nb")
    assert show(Arguments(json=True), Copied(out, ["c"]), "more") == 1
    captured = capsys.readouterr()
    assert captured.err == "note: names are new\ndfjax: c: lost\n"
    *lines, last = captured.out.splitlines()
    assert lines == ["a\\nb: copied", "[b]as it is[/b] 1", "more"]
    assert json.loads(last) == {"out": "a\nb", "lost": ["c"]}
    assert show(Arguments(json=False), Copied(out, [])) == 0
    assert capsys.readouterr().out.count("\n") == 2


def test_a_run_that_was_stopped(monkeypatch, capsys):
    def run(args):
        args.workdir = Path("runs/a")
        raise Stopped("SIGTERM")

    assert run_stub(monkeypatch, run) == 75
    captured = capsys.readouterr()
    assert json.loads(captured.out) == {"status": "stopped by SIGTERM", "workdir": "runs/a"}
    assert captured.err == "dfjax: stopped by SIGTERM; the same command resumes\n"


def test_every_parser_has_json():
    for verb in (*main_module.VERBS, *(f"data {name}" for name in SUBVERBS)):
        name = verb.replace(" ", "_")
        parser = make_parser(verb, importlib.import_module(f"dfjax.commands.{name}"))
        options = {flag for action in parser._actions for flag in action.option_strings}
        assert ("--json" in options) == (verb not in ("data", "weights")), verb


def test_a_reader_that_leaves_is_no_error(monkeypatch):
    def run(args):
        raise BrokenPipeError

    stdout = sys.stdout
    try:
        assert run_stub(monkeypatch, run) == 0
    finally:
        sys.stdout = stdout


def test_parser_raises_instead_of_printing():
    module = SimpleNamespace(__doc__="d", add_arguments=lambda p: p.add_argument("--n", type=int))
    parser = make_parser("x", module)
    assert isinstance(parser, Parser)
    assert parser.parse_args(["--n", "3"]).n == 3
    with pytest.raises(UsageError, match=r"dfjax x --help"):
        parser.parse_args(["--n", "three"])


def test_json_is_strict(capsys):
    value = {"a": [1, math.nan, (math.inf, "x")], "b": {"c": -math.inf, "d": True, "e": 0.5}}
    assert finite(value) == {"a": [1, None, [None, "x"]], "b": {"c": None, "d": True, "e": 0.5}}
    print_json(value)
    out = capsys.readouterr().out
    assert out.count("\n") == 1
    assert json.loads(out, parse_constant=pytest.fail) == finite(value)


def test_overrides_are_collected_where_a_verb_takes_them():
    def add_arguments(parser):
        parser.add_argument("--config")
        parser.set_defaults(overrides=[])

    parser = make_parser("x", SimpleNamespace(__doc__="d", add_arguments=add_arguments))
    parsed = parser.parse_args(["--config.a.b=1", "--config=c", "--config.s=--x y"])
    assert (parsed.config, parsed.overrides) == ("c", ["a.b=1", "s=--x y"])
    assert parser.parse_args(["--config=c"]).overrides == []
    with pytest.raises(UsageError, match="unrecognized arguments: --confg.a=1"):
        parser.parse_args(["--config=c", "--confg.a=1"])
    other = make_parser("y", SimpleNamespace(__doc__="d", add_arguments=lambda p: None))
    with pytest.raises(UsageError, match=r"unrecognized arguments: --config\.a=1"):
        other.parse_args(["--config.a=1"])
