#!/usr/bin/env bash
# Resolves requirements*.in into requirements*.txt: every platform and Python from 3.11 on, pinned, with the
# hashes of all files, naming no index and no host. Called by `make lock`; `make lock UPGRADE=` keeps the pins.
set -euo pipefail
cd "$(dirname "$0")/../.."

keep=(--upgrade)
[ -z "${UPGRADE+set}" ] || keep=()
for name in requirements requirements-dev local/setup/pip_audit/requirements; do
    env -u PIP_FIND_LINKS -u UV_FIND_LINKS .venv/bin/uv pip compile --quiet --system-certs \
        --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-emit-find-links \
        ${keep[@]+"${keep[@]}"} --custom-compile-command 'make lock' \
        --output-file "$name.txt" "$name.in"
done
if grep -nE '://|^--' requirements.txt requirements-dev.txt local/setup/pip_audit/requirements.txt; then
    printf 'lock: the lines above name a host or an index; the lock must not\n' >&2
    exit 1
fi
