#!/usr/bin/env bash
# Resolves the requirements of the agents' images anew, pinned, with hashes; what `make lock` has pinned stays as it is.
set -euo pipefail
cd "$(dirname "$0")/.."
for name in agents/requirements agents/sdk/requirements agents/security/requirements agents/build/requirements; do
    env -u PIP_FIND_LINKS -u UV_FIND_LINKS .venv/bin/uv pip compile --quiet --system-certs --universal \
        --python-version 3.11 --generate-hashes --no-emit-index-url --no-emit-find-links --no-annotate \
        --constraint requirements-dev.txt --custom-compile-command 'agents/lock.sh' --output-file "$name.txt" "$name.in"
done
npm install --prefix agents/deploy --package-lock-only --ignore-scripts --legacy-peer-deps --no-audit --no-fund \
    --omit-lockfile-registry-resolved
