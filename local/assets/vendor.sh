#!/usr/bin/env bash
# Puts the browser's libraries (package-lock.json: pinned, with npm's integrity) into the console's static folder, which
# is committed: nothing is fetched to build or to run. VENDORED says what lies there; a test holds the files to it.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
into=$here/../../turnout/console/pages/static/vendor
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
cp "$here"/package.json "$here"/package-lock.json "$scratch"
npm ci --prefix "$scratch" --ignore-scripts --no-audit --no-fund >"$scratch/log" 2>&1 || {
    cat "$scratch/log" >&2
    exit 1
}
modules=$scratch/node_modules
mkdir -p "$into"
cp "$modules/htmx.org/dist/htmx.min.js" "$into/htmx.min.js"
cp "$modules/htmx.org/LICENSE" "$into/htmx.LICENSE"
cp "$modules/htmx-ext-sse/dist/sse.min.js" "$into/htmx-sse.min.js"
cp "$modules/htmx-ext-sse/LICENSE" "$into/htmx-sse.LICENSE" 2>/dev/null || cp "$modules/htmx.org/LICENSE" "$into/htmx-sse.LICENSE"
chmod 644 "$into"/*
version() { node -p "require('$modules/$1/package.json').version"; }
{
    printf 'Vendored by local/assets/vendor.sh from npm. Both are under the licence 0BSD.\n'
    printf 'htmx.min.js: htmx.org %s\nhtmx-sse.min.js: htmx-ext-sse %s\n' "$(version htmx.org)" "$(version htmx-ext-sse)"
    (cd "$into" && sha256sum ./*.js)
} >"$into/VENDORED"
cat "$into/VENDORED"
