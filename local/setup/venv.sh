#!/usr/bin/env bash
# Makes .venv with the locked dependencies and this project (editable) in it. Called by `make setup`.
# Usage: venv.sh STAMP    STAMP is written last: while it is missing, .venv counts as half-made.
set -euo pipefail
cd "$(dirname "$0")/../.."
stamp=$1
log=$(mktemp "${TMPDIR:-/tmp}/turnout-setup.XXXXXX")
trap 'rm -f "$log" "$log.uv"' EXIT

fail() {
    printf 'setup: %s\n' "$1" >&2
    exit 1
}

# Quiet when it goes well, everything when it doesn't.
run() {
    "$@" >"$log" 2>&1 && return
    cat "$log" >&2
    return 1
}

find_python() {
    local candidate
    for candidate in ${PYTHON:+"$PYTHON"} python3.11 python3.12 python3.13 python3; do
        if command -v "$candidate" >/dev/null &&
            "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            printf '%s' "$candidate"
            return
        fi
    done
    fail 'Python 3.11 or newer is needed. Install it, or name it: make setup PYTHON=/path/to/python3'
}

# A folder that was moved, left half-made, or made by a Python that is gone, is made anew.
if [ -d .venv ] && ! { [ -e "$stamp" ] && .venv/bin/python -m pip --version >/dev/null 2>&1; }; then
    rm -rf .venv
fi
if [ ! -d .venv ]; then
    python=$(find_python)
    run "$python" -m venv .venv ||
        fail "$python could not make a virtual environment. On Debian: apt-get install python3-venv"
fi
rm -f .venv/.ready-*

python=.venv/bin/python
export PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_INPUT=1
export UV_LINK_MODE=copy # a file that is shared with other environments would change whenever it changes there
# uv installs the lock some ten times faster than pip; it is itself installed from the lock, by its hash.
# Where it can't reach the index (it doesn't read pip's settings), pip does the whole.
sed -n '/^uv==/,/[^\\]$/p' requirements-dev.txt >"$log.uv"
if ! { run "$python" -m pip install --quiet --require-hashes --requirement "$log.uv" &&
    run .venv/bin/uv pip sync --quiet --system-certs --require-hashes --compile-bytecode --python "$python" \
        requirements-dev.txt; }; then
    printf 'setup: uv could not install the lock (above: why); trying pip\n' >&2
    run "$python" -m pip install --quiet --require-hashes --requirement requirements-dev.txt ||
        fail 'the locked dependencies could not be installed (above: what pip said)'
fi
run .venv/bin/uv pip install --quiet --offline --no-deps --no-build-isolation --python "$python" --editable . ||
    fail 'this project could not be installed into .venv (above: what uv said)'
touch "$stamp"
