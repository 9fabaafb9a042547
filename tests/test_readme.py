"""Tests that commands in the documentation can be parsed, and that files and links exist."""

import contextlib
import importlib
import io
import re
import shlex

import pytest

from dfjax.commands.data import SUBVERBS, load_subverb
from dfjax.commands.main import VERBS, make_parser
from dfjax.config import load_config

# The name of a verb, as prose has it; doctor and models are commands as they stand.
BARE = {f"dfjax {verb}" for verb in VERBS} | {f"dfjax data {name}" for name in SUBVERBS}
BARE -= {"dfjax doctor", "dfjax models"}
LAUNCHERS = ("launch/demo.sh", "launch/defake_demo.sh")
DOCUMENTS = ("README.md", "CONTRIBUTING.md", *LAUNCHERS)


def commands(text):
    """Yields the `dfjax …` commands of a text: in code blocks, in backticks, continued lines."""
    text = re.sub(r"\\\n\s*", " ", text)
    lines = re.findall(r"^\s*(dfjax [^\n`]*)$", text, re.MULTILINE)
    for line in [*lines, *re.findall(r"`(dfjax [^`\n]*)`", text)]:
        line = line.split("#")[0].split(" | ")[0]
        whole = re.match(r"dfjax [a-z]+( |$)", line) and "…" not in line
        if whole and line not in BARE:
            yield line.strip()


def check(command):
    """Parses the command with the verb's own parser, and its config with the schema."""
    verb, *rest = shlex.split(command)[1:]
    assert verb in VERBS, command
    if verb == "data" and rest and rest[0] in SUBVERBS:
        module, prog, rest = load_subverb(rest[0]), f"data {rest[0]}", rest[1:]
    else:
        module, prog = importlib.import_module(f"dfjax.commands.{verb}"), verb
    parser = make_parser(prog, module)
    if "--help" in rest:
        with contextlib.suppress(SystemExit), contextlib.redirect_stdout(io.StringIO()):
            parser.parse_args(rest)
        return
    arguments = parser.parse_args(rest)
    if verb == "train":
        load_config(arguments.config, arguments.overrides)


def documented(root):
    for name in DOCUMENTS:
        for command in commands((root / name).read_text()):
            yield name, command.replace("$demo", f"runs/{name.split('/')[-1][:-3]}")


def test_commands_in_documents(root):
    found = list(documented(root))
    assert {"train", "evaluate", "predict", "data", "export", "doctor", "models", "bench"} <= {
        command.split()[1] for _, command in found
    }
    for _, command in found:
        check(command)


@pytest.mark.parametrize("verb", [*VERBS, *(f"data {name}" for name in SUBVERBS)])
def test_commands_in_help(verb):
    name = verb.split()[-1]
    module = (
        load_subverb(name) if verb != name else importlib.import_module(f"dfjax.commands.{name}")
    )
    found = list(commands(module.__doc__))
    assert any(command.startswith(f"dfjax {verb}") for command in found), "no example"
    for command in found:
        if "SUBVERB" not in command:
            check(command)


def test_the_error_shown_is_the_error_given(root):
    from dfjax.errors import UsageError

    (shown,) = re.findall(
        r"^dfjax: (config has no key .*)$", (root / "README.md").read_text(), re.M
    )
    with pytest.raises(UsageError) as raised:
        load_config("dual_stream", ["optimizer.learning_rat=1"])
    assert str(raised.value) == shown


def test_what_the_demo_prints(root):
    readme, demo = ((root / name).read_text() for name in ("README.md", "launch/demo.sh"))
    steps = re.findall(r'^step "(\d/\d [^"]*)"', demo, re.M)
    assert steps == re.findall(r"^== (\d/\d .*)$", readme, re.M)
    (closing,) = re.findall(r'echo "(Look at .*)"', demo)
    assert closing.replace("$demo", "runs/demo") in readme


def test_files_and_links_exist(root):
    for name in DOCUMENTS[:2]:
        text = (root / name).read_text()
        for link in re.findall(r"\]\(([^)#:]+)\)", text):
            assert (root / link).exists(), f"{name}: {link}"
        local = re.sub(r"https?://\S+", "", text)
        for path in re.findall(r"\b(?:dfjax|launch|tests|configs|colabs)/[\w/]*(?:\.\w+)?", local):
            if path != "configs/NAME.py" and "NAME" not in path:
                assert (root / path).exists(), f"{name}: {path}"
