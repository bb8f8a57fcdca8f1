#!/usr/bin/env bash
# Prints the path of a Go that is new enough for what the other scripts build: the one that is here, or else one that it
# fetches into the cache, once. The newest Go is itself a Go module, which any older Go can fetch.
set -euo pipefail
wanted=1.26.0
version=1.26.3
declare -A sums=(
    [amd64]='h1:LdHRR8AtYKtOQrWMnd5AbvhZMSVJ7HoO2wrqShPaLV8='
)
cache=${XDG_CACHE_HOME:-$HOME/.cache}/turnout
into=$cache/go-$version

fail() {
    printf 'go: %s\n' "$1" >&2
    exit 1
}
new_enough() { [ "$(printf '%s\n' "$1" "$wanted" | sort -V | head -n 1)" = "$wanted" ]; }

go=$(command -v go) || fail 'there is no go: make real-parts installs one (Debian: golang-go)'
has=$(cd / && GOTOOLCHAIN=local "$go" version | sed -n 's/.* go\([0-9.]*\).*/\1/p')
if new_enough "${has:-0}"; then
    printf '%s\n' "$go"
    exit
fi
if [ ! -x "$into/bin/go" ]; then
    arch=$("$go" env GOARCH)
    sum=${sums[$arch]:-}
    [ -n "$sum" ] || fail "Go $has is older than $wanted: install a newer one"
    printf 'Fetching Go %s, since the one here is %s …\n' "$version" "$has" >&2
    mkdir -p "$cache"
    half=$(mktemp -d "$cache/.go.XXXXXX")
    trap 'chmod -R u+w "$half"; rm -rf "$half"' EXIT
    said=$(cd "$half" && GOFLAGS=-modcacherw GOMODCACHE=$half/modules GOTOOLCHAIN=local "$go" mod \
        download -json "golang.org/toolchain@v0.0.1-go$version.linux-$arch") || fail "Go $version could not be fetched: $said"
    [[ $said == *"\"Sum\": \"$sum\""* ]] || fail "Go $version is not what it was when it was pinned"
    made=$half/modules/golang.org/toolchain@v0.0.1-go$version.linux-$arch
    chmod -R u+rwX "$made"
    chmod 755 "$made"/bin/* "$made"/pkg/tool/*/*
    mv -T "$made" "$into"
fi
printf '%s\n' "$into/bin/go"
