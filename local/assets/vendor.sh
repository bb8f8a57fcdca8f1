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
version() { node -p "require('$modules/$1/package.json').version"; }
vendor() { # package, its file, the name here
    cp "$modules/$1/$2" "$into/$3.min.js"
    cp "$modules/$1/LICENSE" "$into/$3.LICENSE"
    printf '%s.min.js: %s %s\n' "$3" "$1" "$(version "$1")"
}
mkdir -p "$into"
{
    printf 'Vendored by local/assets/vendor.sh from npm. All are under the licence 0BSD.\n'
    vendor htmx.org dist/htmx.min.js htmx
    vendor idiomorph dist/idiomorph-ext.min.js idiomorph
    (cd "$into" && sha256sum ./*.js)
} >"$into/VENDORED"
chmod 644 "$into"/*
cat "$into/VENDORED"
