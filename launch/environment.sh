# Sourced by the launchers in the checkout. `make_environment '.[dev]'` installs that into `.venv`, or
# into the folder that follows it, and puts that first on PATH. Nothing is installed again until
# pyproject.toml changes, so a second run needs no network.

find_python() {
  for candidate in ${PYTHON:-python3 python3.13 python3.12 python3.11}; do
    if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
      echo "$candidate"
      return
    fi
  done
  echo "no Python 3.11 or newer${PYTHON:+ at PYTHON=$PYTHON}; PYTHON=/path/to/python names one" >&2
  return 1
}

make_environment() {
  local what=$1 venv=${2:-.venv} stamp
  stamp="$venv/installed-$(echo "$what" | tr -c 'a-z0-9\n' '-')"
  if ! "$venv/bin/python" -c '' 2>/dev/null; then
    local python
    python=$(find_python)
    echo "== making $venv with $("$python" --version)"
    "$python" -m venv --clear "$venv"
  fi
  PATH="$PWD/$venv/bin:$PATH"
  export PATH
  if [ ! -e "$stamp" ] || [ pyproject.toml -nt "$stamp" ]; then
    echo "== installing $what"
    # modules are compiled when they are imported, which is a fraction of them
    python -m pip install --quiet --no-compile --disable-pip-version-check --editable "$what"
    touch "$stamp"
  fi
  python -c 'import cv2' 2>/dev/null || need_libgl
}

need_libgl() {  # OpenCV's wheel links against libraries that bare containers lack
  if [ "${CI:-}" = true ] && command -v apt-get >/dev/null; then
    apt-get update -qq && apt-get install -qq -y libgl1 libglib2.0-0
  fi
  python -c 'import cv2' || {
    echo "OpenCV does not import; on Debian: apt-get install libgl1 libglib2.0-0" >&2
    return 1
  }
}
