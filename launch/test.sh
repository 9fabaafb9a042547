#!/usr/bin/env bash
# Creates the environment and runs the tests: bash launch/test.sh [pytest arguments]
# Needs no network once installed. Tests marked `slow` (minutes of training each) are left out;
# `bash launch/test.sh -m slow` runs them. DFJAX_SAMPLES names the folder with real data (videos in
# `ffpp/`, crops in `dfdc_faces/`), DFJAX_WEIGHTS that with published weights; without one the tests that need it are
# deselected.
set -euo pipefail
cd "$(dirname "$0")/.."
. launch/environment.sh
make_environment '.[dev]'

if [ -z "${DFJAX_SAMPLES:-}" ] && [ -d ../shared/samples ]; then
  DFJAX_SAMPLES=$(cd ../shared/samples && pwd)
  export DFJAX_SAMPLES
fi
if [ -z "${DFJAX_WEIGHTS:-}" ] && [ -d ../shared/weights ]; then
  DFJAX_WEIGHTS=$(cd ../shared/weights && pwd)
  export DFJAX_WEIGHTS
fi

# A process per core, from two to eight, and 4 GB for each: a compilation takes one core and up to 3 GB.
# A file stays in one process, because its fixtures hold compiled steps; files start in the order of
# tests/conftest.py. After the crash of a process pytest ends. A later -m replaces this one.
processes=$(python -c 'import os
memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
print(max(2, min(os.cpu_count() or 2, memory // 4_000_000_000, 8)))')
python -m pytest -m "not slow and not fresh and not parity and not export and not beam and not tpu and not browser and not slurm" \
  --numprocesses "$processes" --dist loadfile --no-loadscope-reorder --max-worker-restart 0 "$@" </dev/null
