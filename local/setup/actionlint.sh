#!/usr/bin/env bash
# Builds actionlint, which checks our workflows, from its Go module as pinned and hashed in local/setup/actionlint, into the
# cache, once; any Go since 1.18 will do. Called by real-parts.sh.
#   --where  print the program, and do nothing
set -euo pipefail
cd "$(dirname "$0")/actionlint"
cache=${XDG_CACHE_HOME:-$HOME/.cache}/turnout
into=$cache/actionlint-$(cat go.mod go.sum | cksum | cut -d' ' -f1)

if [ "${1:-}" = --where ]; then
    printf '%s\n' "$into/actionlint"
    exit
fi
[ ! -x "$into/actionlint" ] || exit 0
fail() {
    [ ! -s "$half/log" ] || tail -20 "$half/log" >&2
    printf 'actionlint: %s\n' "$1" >&2
    exit 1
}
half=''
trap 'rm -rf "$half"' EXIT
mkdir -p "$cache"
half=$(mktemp -d "$cache/.actionlint.XXXXXX")
command -v go >/dev/null || fail 'there is no go: make real-parts installs one (Debian: golang-go)'
printf 'Building actionlint …\n'
GOTOOLCHAIN=local CGO_ENABLED=0 go build -mod=readonly -trimpath -o "$half/actionlint" \
    github.com/rhysd/actionlint/cmd/actionlint >"$half/log" 2>&1 || fail 'it could not be built (above: why)'
mkdir -p "$into"
mv "$half/actionlint" "$into/actionlint"
