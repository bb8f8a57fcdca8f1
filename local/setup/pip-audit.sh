#!/usr/bin/env bash
# Puts pip-audit into an environment of its own in the cache, from a lock with hashes, once; prints where the program
# is. Called by `make audit`, which goes on without it where it can't be had, and says so.
set -euo pipefail
cd "$(dirname "$0")/../.."
export UV_LINK_MODE=copy
lock=local/setup/pip_audit/requirements.txt
into=${XDG_CACHE_HOME:-$HOME/.cache}/turnout/pip-audit-$(cksum <"$lock" | cut -d' ' -f1)
program=$into/bin/pip-audit

if [ ! -x "$program" ]; then
    mkdir -p "$(dirname "$into")"
    half=$(mktemp -d "$(dirname "$into")/.pip-audit.XXXXXX")
    trap 'rm -rf "$half"' EXIT
    if ! { .venv/bin/uv venv --quiet --python .venv/bin/python "$half/venv" &&
        .venv/bin/uv pip install --quiet --system-certs --require-hashes --python "$half/venv/bin/python" \
            --requirement "$lock"; } 2>"$half/log"; then
        cat "$half/log" >&2
        printf 'pip-audit: it could not be installed (above: why)\n' >&2
    else
        # the installed script names the folder it was made in
        rm -rf "$into" && mv "$half/venv" "$into"
        printf '#!/bin/sh\nexec "%s/bin/python" -m pip_audit "$@"\n' "$into" >"$program"
        chmod 755 "$program"
    fi
fi
printf '%s\n' "$program"
