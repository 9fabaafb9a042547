#!/usr/bin/env bash
# Makes the environment and passes the tests: bash launch/test.sh [pytest arguments]
# Needs no network once installed. DFJAX_SAMPLES names the folder with the real videos (`ffpp/`);
# tests that need them are deselected where they are absent; those of the extras run apart.
set -euo pipefail
cd "$(dirname "$0")/.."
. launch/environment.sh
make_environment '.[dev]'

if [ -z "${DFJAX_SAMPLES:-}" ] && [ -d ../shared/samples ]; then
  DFJAX_SAMPLES=$(cd ../shared/samples && pwd)
  export DFJAX_SAMPLES
fi
markers="not parity and not export and not beam"
[ -n "${DFJAX_SAMPLES:-}" ] || markers="$markers and not samples"

# Two processes: a compilation takes one core and up to 2 GB. A file stays in one process, because
# its fixtures hold compiled steps.
python -m pytest -m "$markers" --numprocesses 2 --dist loadfile "$@" </dev/null
