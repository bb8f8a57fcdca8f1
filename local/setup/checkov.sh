#!/usr/bin/env bash
# Puts checkov, which scans Terraform, Dockerfiles, Kubernetes' manifests and workflows, into an environment of its own
# in the cache, once, from a lock with hashes. Its policies are in it: it needs no network. Called by real-parts.sh.
#   --where  print the program's path, and do nothing
#   --lock   resolve local/setup/checkov/requirements.in anew
set -euo pipefail
cd "$(dirname "$0")/../.."
export UV_LINK_MODE=copy
lock=local/setup/checkov/requirements
cache=${XDG_CACHE_HOME:-$HOME/.cache}/turnout

if [ "${1:-}" = --lock ]; then
    env -u PIP_FIND_LINKS -u UV_FIND_LINKS .venv/bin/uv pip compile --quiet --system-certs --universal \
        --python-version 3.11 --generate-hashes --no-emit-index-url --no-emit-find-links \
        --custom-compile-command 'local/setup/checkov.sh --lock' \
        --output-file "$lock.txt" "$lock.in"
    exit
fi
into=$cache/checkov-$(cksum <"$lock.txt" | cut -d' ' -f1)
program=$into/bin/checkov
if [ "${1:-}" = --where ]; then
    printf '%s\n' "$program"
    exit
fi

[ ! -x "$program" ] || exit 0
printf 'Fetching checkov …\n'
mkdir -p "$cache"
half=$(mktemp -d "$cache/.checkov.XXXXXX")
trap 'rm -rf "$half"' EXIT
if ! { .venv/bin/uv venv --quiet --python .venv/bin/python "$half/venv" &&
    .venv/bin/uv pip install --quiet --system-certs --require-hashes --python "$half/venv/bin/python" \
        --requirement "$lock.txt"; } 2>"$half/log"; then
    cat "$half/log" >&2
    printf 'checkov: it could not be installed from PyPI (above: why)\n' >&2
    exit 1
fi
# the installed script names the folder it was made in
printf '#!/bin/sh\nexec "%s/bin/python" -m checkov.main "$@"\n' "$into" >"$half/venv/bin/checkov"
chmod 755 "$half/venv/bin/checkov"
"$half/venv/bin/python" -m compileall -q "$half/venv/lib" || true # some of its own files are for newer Pythons
mv -T "$half/venv" "$into" 2>/dev/null || [ -x "$program" ] || {
    printf 'checkov: %s could not be made\n' "$into" >&2
    exit 1
}
