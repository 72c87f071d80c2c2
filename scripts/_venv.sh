# Sourced by the scripts beside it: makes .venv, or uses the one that is there, and puts it first on PATH.
# shellcheck shell=bash

export PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_INPUT=1

fail() {
  printf '%s\n' "$@" >&2
  exit 1
}

# Whether this command is a Python that augment-once runs on. It is run, not only looked up: a name on PATH may be a stub.
is_supported_python() {
  "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1
}

find_python() {
  local candidate
  for candidate in python3.11 python3.12 python3.13 python3 python; do
    if is_supported_python "$candidate"; then
      command -v "$candidate"
      return
    fi
  done
  fail "No Python 3.11 or newer was found on PATH (tried python3.11, python3.12, python3.13, python3, python)." \
    "Install one, then run this script again."
}

make_venv() {
  local python
  python=$(find_python) || exit 1
  echo "Making .venv with $python" >&2
  if ! "$python" -m venv .venv >&2; then
    rm -rf .venv
    fail "$python could not make a virtual environment." \
      "On Debian and Ubuntu the package is called python3-venv (or python3.11-venv, after the version)."
  fi
}

# What an installation depends on: pyproject.toml and the interpreter.
fingerprint() {
  .venv/bin/python -c 'import hashlib, sys
print(hashlib.sha256(open("pyproject.toml", "rb").read() + sys.version.encode()).hexdigest())'
}

# ensure_venv EXTRA: .venv with augment-once and the packages of this extra. Without changes it needs no network.
ensure_venv() {
  local extra=$1 stamp
  [[ -f pyproject.toml ]] || fail "pyproject.toml is not here: $PWD is not the folder of augment-once."
  if [[ -e .venv ]] && ! is_supported_python .venv/bin/python; then
    [[ -f .venv/pyvenv.cfg ]] || fail ".venv is not a virtual environment: move it away, then run this script again."
    echo "The Python of .venv is gone or older than 3.11: making it anew" >&2
    rm -rf .venv
  fi
  [[ -e .venv ]] || make_venv
  stamp=$(fingerprint)
  # dev holds all that train has
  if ! grep -qsx "$stamp" ".venv/.installed-$extra" .venv/.installed-dev; then
    echo "Installing augment-once[$extra] into .venv; the first time this takes some minutes (TensorFlow is large)" >&2
    .venv/bin/python -m pip install --quiet --editable ".[$extra]" >&2 ||
      fail "The packages could not be installed: see pip's message above. The first run needs a network."
    echo "$stamp" >".venv/.installed-$extra"
  fi
  export PATH="$PWD/.venv/bin:$PATH"
}
