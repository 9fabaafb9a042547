"""Tests the architecture: layers of imports, sizes, names and documentation."""

import ast
import collections
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
SOURCES = sorted([*ROOT.glob("dfjax/**/*.py"), *ROOT.glob("configs/*.py")])
PARSED = {path: ast.parse(path.read_text()) for path in SOURCES}
NAMES = {str(path.relative_to(ROOT)): path for path in SOURCES}

# A part may import the tiers above it, its own part, and what EXTRA allows.
TIERS = [
    {"schema", "shapes", "precision", "rngs", "errors", "files", "console", "outputs"}
    | {"child_processes", "config_migration", "huge_pages", "import_paths"}
    | {"json_files", "parquet_files", "results", "text_tables", "user_cache"}
    | {"object_stores", "process_discovery", "processes", "xla_presets"}
    | {"store_copies", "store_lease", "store_workdirs"},
    {"ops"},
    {"models", "losses", "data", "weights"},
    {"training", "evaluation", "exporting", "variants"}
    | {"config", "config_checks", "config_model_ranges", "config_overrides", "config_ranges"},
    {"experiment", "inference"},
    {"studies", "bench"},
    {"commands"},
]
WITHIN_ITS_TIER = {
    ("weights", "models"),
    *(("config", other) for other in ("config_checks", "config_overrides", "config_ranges")),
    *(
        ("config_ranges", other)
        for other in ("config_checks", "config_model_ranges", "config_overrides")
    ),
    ("config_model_ranges", "config_checks"),
    *(("inference", "experiment"), ("bench", "studies")),
}
FOUNDATION = TIERS[0]  # its modules may import each other

MAX_FILE, MAX_FUNCTION, MEAN_COMMAND = 300, 60, 56
FORBIDDEN_FILES = {"utils", "util", "helpers", "helper", "common", "misc"}
OLD_NAMES = {"dfjax/config_migration.py"}
"""What may still say the names of earlier versions."""

HEAVY = ("jax", "flax", "tensorflow", "torch", "cv2", "pandas")


def imports(tree, package=("dfjax",)):
    """Yields every module that `tree` imports, anywhere in it."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "relative imports hide the tier"
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def functions(tree):
    kinds = ast.FunctionDef | ast.AsyncFunctionDef
    return [node for node in ast.walk(tree) if isinstance(node, kinds)]


def public(tree):
    """Yields (name, node) of the public classes, functions and methods."""
    for node in tree.body:
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
            yield node.name, node
            for inner in node.body:
                if isinstance(inner, ast.FunctionDef) and not inner.name.startswith("_"):
                    yield f"{node.name}.{inner.name}", inner
        elif isinstance(node, ast.FunctionDef) and not node.name.startswith("_"):
            yield node.name, node


def part_of(path):
    """Returns the part a file belongs to: `models` for dfjax/models/unet.py, `rngs` for rngs.py."""
    return path.relative_to(ROOT / "dfjax").with_suffix("").parts[0]


def tier_of(part):
    found = [i for i, parts in enumerate(TIERS) if part in parts]
    assert found, f"dfjax/{part} has no place in the tiers"
    return found[0]


def allowed(part, other):
    return (
        other == part
        or tier_of(other) < tier_of(part)
        or {part, other} <= FOUNDATION
        or (part, other) in WITHIN_ITS_TIER
    )


@pytest.mark.parametrize("name", [n for n in NAMES if n.startswith("dfjax/")])
def test_imports_go_one_way(name):
    path = NAMES[name]
    part = part_of(path)
    if part in ("__init__", "__main__"):
        return  # the package's face: `dfjax.load` and the command line, both imported on use
    others = {
        module.split(".")[1]
        for module in imports(PARSED[path])
        if re.fullmatch(r"dfjax\.[a-z_]+(\..+)?", module) and known(module.split(".")[1])
    }
    wrong = sorted(other for other in others if not allowed(part, other))
    assert not wrong, f"{part} must not import {wrong}"


def known(part):
    return (ROOT / "dfjax" / part).is_dir() or (ROOT / "dfjax" / f"{part}.py").is_file()


def test_the_rule_itself():
    assert allowed("models", "ops") and allowed("commands", "models")
    assert allowed("weights", "models") and allowed("evaluation", "data")
    assert not allowed("models", "weights") and not allowed("ops", "models")
    assert not allowed("data", "losses") and not allowed("training", "evaluation")
    assert allowed("inference", "experiment") and not allowed("experiment", "inference")
    assert not allowed("evaluation", "commands")


@pytest.mark.parametrize("name", NAMES)
def test_who_imports_what(name):
    modules = set(imports(PARSED[NAMES[name]]))
    roots = {module.split(".")[0] for module in modules}
    assert "tensorflow" not in roots
    assert not roots & {"pickle", "dill", "joblib"}, "nothing untrusted is unpickled"
    if not name.startswith("dfjax/models/"):
        assert not any(module.startswith("flax.linen") for module in modules)
    if name.startswith("configs/"):
        assert {m for m in modules if m.startswith("dfjax")} <= {
            "dfjax.config",
            "dfjax.config.base",
            "dfjax.config.load_config",
            "dfjax.variants",
            "dfjax.variants.use_small_vit",
            "dfjax.variants.use_variant",
        }


EVALUATION = (
    "videos statistics metrics drift calibration fusion flags tables scoring conventions figures "
    "charts report comparison"
)
"""Folders of `dfjax/evaluation`, each of which may import those before it."""


@pytest.mark.parametrize("folder", EVALUATION.split())
def test_evaluation_goes_from_tables_to_reports(folder):
    order = EVALUATION.split()
    files = (ROOT / "dfjax/evaluation" / folder).glob("*.py")
    found = {module for path in files for module in imports(PARSED[path])}
    others = {m.split(".")[2] for m in found if m.startswith("dfjax.evaluation.")}
    assert others <= set(order[: order.index(folder) + 1])


READS_CONFIGS = (
    r"dfjax/(config|config_overrides|config_ranges|variants)\.py"
    r"|dfjax/(experiment|inference|studies)/"
)


def test_configs_are_read_in_the_layers_above_training_only():
    readers = {
        name for name, path in NAMES.items() if "ml_collections" in set(imports(PARSED[path]))
    }
    assert all(re.match(f"{READS_CONFIGS}|configs/", name) for name in readers)


def test_verbs_are_thin():
    verbs = [path for name, path in NAMES.items() if name.startswith("dfjax/commands/")]
    lines = sum(path.read_text().count("\n") for path in verbs)
    assert lines <= MEAN_COMMAND * len(verbs)


def test_nothing_is_left_of_a_merge():
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True)
    texts = {name: (ROOT / name).read_bytes() for name in listed.stdout.splitlines()}
    assert not [name for name, text in texts.items() if re.search(rb"^(<{7}|>{7}) ", text, re.M)]


BELOW_COMMANDS = [n for n in NAMES if re.match(r"dfjax/(?!commands/|__main__)", n)]
WORKERS = ("dfjax/child_processes.py", "dfjax/data/clips/prefetch.py")
"""Modules whose functions run in worker processes, which have signal handlers of their own."""


def messages(tree):
    """Yields the texts in a module that are not docstrings."""
    kinds = ast.Module | ast.ClassDef | ast.FunctionDef
    documented = {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, kinds) and node.body and isinstance(node.body[0], ast.Expr)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            if id(node) not in documented:
                yield node.value


@pytest.mark.parametrize("name", BELOW_COMMANDS)
def test_the_command_line_is_unknown_below_the_commands(name):
    tree, text = PARSED[NAMES[name]], NAMES[name].read_text()
    assert "argparse" not in set(imports(tree)) and "Namespace" not in text
    flags = [m for m in messages(tree) if re.search(r"(?<![\w-])--[a-z]{2}[\w.-]*", m)]
    flags = [
        m
        for m in flags
        if " " in m and not re.match("pip install|flag --config|.*var[(]--", m, re.DOTALL)
    ]
    assert not flags, "a message names a flag; name the key or the argument"
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
    printed = [
        node.lineno
        for node in calls
        if isinstance(node.func, ast.Name) and node.func.id == "print"
        and not any(keyword.arg == "file" for keyword in node.keywords)
    ]  # fmt: skip
    assert not printed, f"prints results at lines {printed}"
    if name not in WORKERS:
        assert "os._exit" not in text and "signal.signal" not in text


def is_package_of(name, modules):
    """Returns whether a module is a package, whose `__init__` only hands names on."""
    return any(other.startswith(f"{name}.") for other in modules)


def test_there_are_no_import_circles():
    modules = {
        ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): tree
        for path, tree in PARSED.items()
    }
    graph = {
        name: {m for m in imports(tree) if m in modules and not is_package_of(m, modules)}
        for name, tree in modules.items()
    }
    done, active = set(), []

    def visit(name):
        assert name not in active, " -> ".join([*active[active.index(name) :], name])
        if name in done:
            return
        active.append(name)
        for other in sorted(graph.get(name, ())):
            visit(other)
        done.add(active.pop())

    for name in sorted(graph):
        visit(name)


@pytest.mark.parametrize("name", NAMES)
def test_sizes_and_names(name):
    path = NAMES[name]
    assert path.stem not in FORBIDDEN_FILES
    assert len(path.read_text().splitlines()) <= MAX_FILE
    long = {
        f.name: f.end_lineno - f.lineno + 1
        for f in functions(PARSED[path])
        if f.end_lineno - f.lineno >= MAX_FUNCTION
    }
    assert not long


def says_something(docstring):
    """Returns whether a docstring is more than a placeholder."""
    words = re.findall(r"[a-z]+", (docstring or "").lower())
    return len(words) > 1 and "placeholder" not in words[:2]


def test_a_docstring_to_be_written_later_is_none():
    assert says_something("Returns the mean.")
    for text in (None, "", "...", "PLACEHOLDER.", "Placeholder text.", "Summary."):
        assert not says_something(text), text


@pytest.mark.parametrize("name", NAMES)
def test_the_public_is_documented_and_annotated(name):
    tree = PARSED[NAMES[name]]
    assert says_something(ast.get_docstring(tree)), "the module says what it is for"
    for where, node in public(tree):
        assert says_something(ast.get_docstring(node)), f"{where} has no docstring"
        if isinstance(node, ast.FunctionDef):
            arguments = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
            arguments += filter(None, (node.args.vararg, node.args.kwarg))
            bare = [
                a.arg for a in arguments if a.annotation is None and a.arg not in ("self", "cls")
            ]
            assert not bare, f"{where}: {bare} not annotated"
            assert node.returns is not None, f"{where}: return not annotated"


@pytest.mark.parametrize("name", [n for n in NAMES if n.startswith("dfjax/")])
def test_decisions_that_cost_someone_a_day(name):
    text = NAMES[name].read_text()
    assert not re.search(r"\bnn\.(scan|RNN)\b", text), "does not export to ONNX"
    if name != "dfjax/exporting/stablehlo_file.py":
        assert "platform_dependent" not in text, "does not export to ONNX"
    for call in re.findall(r"jax\.make_mesh\((?:[^()]|\([^()]*\))*\)", text):
        assert "axis_types" in call, "the default, Explicit axes, breaks sharded convolutions"
    assert not re.search(r"except\s*(Exception|BaseException)?\s*:\s*(#.*)?\n\s*pass\b", text)


def tracked_text():
    suffixes = {".py", ".sh", ".md", ".toml", ".yaml", ".yml", ".sbatch", ""}
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True)
    names = listed.stdout.split() or [str(p.relative_to(ROOT)) for p in SOURCES]
    for name in names:
        path = ROOT / name
        if path.suffix in suffixes and path.is_file() and path != Path(__file__).resolve():
            yield name, path.read_text()


def test_no_paths_of_one_machine_and_nothing_left_to_do():
    machine = re.compile(r"(?<![\w.}/])/(work|root|home|Users|mnt)/\w")
    undone = re.compile(r"\b(TODO|FIXME|XXX|HACK)\b")
    for name, text in tracked_text():
        assert not machine.search(text), f"{name}: {machine.search(text)}"
        assert not undone.search(text), f"{name}: {undone.search(text)}"


def test_systems_go_by_the_names_of_their_configs():
    """There are no codes such as S and a number, and no references without a source.

    S3 is the object store.
    """
    code = re.compile(r"\b[sS](0[abAB]|[124])\b|s4_phases|s0a_|write-?\s?up", re.IGNORECASE)
    for name, text in tracked_text():
        if name.endswith((".py", ".sh", ".md")) and name not in OLD_NAMES:
            assert not code.search(text), f"{name}: {code.search(text)}"


def test_test_files_have_unique_names():
    names = collections.Counter(path.name for path in (ROOT / "tests").rglob("test_*.py"))
    assert not [name for name, count in names.items() if count > 1]


@pytest.mark.parametrize(
    "arguments", [None, ["--help"], ["--version"], ["doctor", "--help"], ["data", "--help"]]
)
def test_what_needs_no_jax_does_not_load_it(arguments):
    call = f"from dfjax.commands.main import main; main({arguments})" if arguments else ""
    code = f"""
import sys, dfjax
try:
    {call or "pass"}
except SystemExit:
    pass
sys.stderr.write(" ".join(m for m in {HEAVY} if m in sys.modules))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert (done.returncode, done.stderr) == (0, "")
