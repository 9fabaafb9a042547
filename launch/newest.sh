#!/usr/bin/env bash
# Runs a smoke test with the newest supported versions (Python 3.13, and the newest JAX and Flax
# within the bounds) in a temporary environment. Without Python 3.13 the script only prints a line.
set -euo pipefail
cd "$(dirname "$0")/.."

find_newest() {
  for candidate in python3.13 "${PYENV_ROOT:-$HOME/.pyenv}"/versions/3.13.*/bin/python; do
    if "$candidate" -c 'import sys; sys.exit(sys.version_info[:2] != (3, 13))' 2>/dev/null; then
      echo "$candidate"
      return
    fi
  done
}

python=$(find_newest)
if [ -z "$python" ]; then
  echo "== no Python 3.13 here: the newest versions are not tested"
  exit 0
fi
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"$python" -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --no-compile --disable-pip-version-check ".[dev]"
"$folder/venv/bin/python" -c '
import flax, jax, sys
print("== newest: Python", sys.version.split()[0], "jax", jax.__version__, "flax", flax.__version__)'
export JAX_DISABLE_MOST_OPTIMIZATIONS=1  # all runs once
"$folder/venv/bin/dfjax" train --config=resnet18_bilstm:smoke --workdir="$folder/smoke"
"$folder/venv/bin/dfjax" evaluate --workdir "$folder/smoke"
"$folder/venv/bin/python" -m pytest -m "not slow" --numprocesses 2 --dist loadfile --max-worker-restart 0 \
  tests/test_config.py tests/training/test_loop.py tests/training/test_checkpoint.py tests/ops/test_lowering.py </dev/null
