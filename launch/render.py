#!/usr/bin/env python3
"""Prints a manifest of this folder with its variables filled in from the environment.

  NAME=run1 IMAGE=registry/dfjax:gpu GPU=nvidia-h100-80gb HOSTS=2 CHIPS=8 \\
    python launch/render.py jobset.yaml --config=hybrid --workdir=/data/run1 | kubectl apply -f -

The arguments after the manifest are those of `dfjax train`. In a manifest, `$NAME` and `${NAME}`
are required, `${NAME:-default}` has a default, and `${NAME:+text}` is the text if NAME is set. A
value without quotation marks may become a number. Entries that are empty are left out, and so are
items of a list whose `name` is empty. `$ARGS` stands for the arguments, `$QUOTED_ARGS` for the
arguments quoted for a shell, `$$` for `$`. A line `# One of: A B` asks for exactly one of these
variables. The manifest is parsed before it is filled in, so no value can change its structure.
"""

import os
import re
import shlex
import sys
from collections.abc import Mapping
from pathlib import Path

import yaml

VARIABLE = re.compile(r"\$\$|\$(?:([A-Z_]+)|\{([A-Z_]+)(?::([-+])((?:[^{}]|\{[^{}]*\})*))?\})")
STRING = "tag:yaml.org,2002:str"


def render(text: str, variables: Mapping[str, str], arguments: list[str]) -> str:
    """Returns a manifest with its variables filled in, as YAML.

    Args:
        text: Manifest with variables.
        variables: Values by name.
        arguments: Items that replace `$ARGS`.

    Raises:
        ValueError: Variables are missing; the message names them all.
    """
    missing: list[str] = []
    for choice in re.findall(r"^# One of: (.*)$", text, re.MULTILINE):
        if sum(bool(variables.get(name)) for name in choice.split()) != 1:
            missing.append(f"exactly one of {choice}")
    loader = yaml.SafeLoader(text)
    root = loader.get_single_node()

    def replace(match: re.Match[str]) -> str:
        if match[0] == "$$":
            return "$"
        name = match[1] or match[2]
        value = shlex.join(arguments) if name == "QUOTED_ARGS" else variables.get(name, "")
        if match[3] == "+":
            return VARIABLE.sub(replace, match[4]) if value else ""
        if match[3] == "-":
            return value or match[4]
        if not value and name not in missing:
            missing.append(name)
        return value

    def fill(node: yaml.Node) -> None:
        if isinstance(node, yaml.MappingNode):
            for key, value in node.value:
                fill(key)
                fill(value)
            node.value = [(key, value) for key, value in node.value if not is_empty(value)]
        elif isinstance(node, yaml.SequenceNode):
            node.value = [item for old in node.value for item in expand(old)]
        elif isinstance(node, yaml.ScalarNode) and "$" in node.value:
            node.value = VARIABLE.sub(replace, node.value)
            if node.style is None:
                node.tag = loader.resolve(yaml.ScalarNode, node.value, (True, False))

    def expand(node: yaml.Node) -> list[yaml.Node]:
        if isinstance(node, yaml.ScalarNode) and node.value == "$ARGS":
            return [yaml.ScalarNode(STRING, item) for item in arguments]
        named = isinstance(node, yaml.MappingNode) and any(k.value == "name" for k, _ in node.value)
        fill(node)
        kept = not named or any(k.value == "name" for k, _ in node.value)
        return [node] if kept and not is_empty(node) else []

    fill(root)
    if missing:
        raise ValueError(f"set in the environment: {', '.join(missing)}")
    return yaml.safe_dump(loader.construct_document(root), sort_keys=False, width=100)


def is_empty(node: yaml.Node) -> bool:
    """Returns whether nothing is left of a node after its variables were filled in."""
    return not node.value and not getattr(node, "flow_style", False)


def main(arguments: list[str]) -> int:
    """Prints the manifest that the first argument names, and returns the exit code."""
    if not arguments or arguments[0] in ("-h", "--help"):
        print(__doc__)
        return 0 if arguments else 2
    path = Path(__file__).parent / arguments[0]
    if not path.is_file():
        path = Path(arguments[0])
    try:
        print(render(path.read_text(), os.environ, arguments[1:]), end="")
    except (OSError, ValueError, yaml.YAMLError) as error:
        print(f"render.py: {path.name}: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
