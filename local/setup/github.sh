#!/usr/bin/env bash
# Puts what GitHub says of itself into the cache, once: payloads that it really sent (npm's @octokit/webhooks-examples),
# and the description of its REST API (@octokit/openapi). Called by real-parts.sh.
#   --where payloads|api  print the folder, and do nothing
set -euo pipefail
cache=${XDG_CACHE_HOME:-$HOME/.cache}/turnout/npm
payloads=@octokit/webhooks-examples@7.6.1
api=@octokit/openapi@23.0.2

folder() { # package@version: where it is kept
    local name=${1#@octokit/}
    printf '%s/%s\n' "$cache" "${name/@/-}"
}

if [ "${1:-}" = --where ]; then
    folder "${!2}"
    exit
fi

half=''
trap 'rm -rf "$half"' EXIT
for package in "$payloads" "$api"; do
    into=$(folder "$package")
    [ ! -d "$into" ] || continue
    printf 'Fetching %s …\n' "$package"
    mkdir -p "$cache"
    half=$(mktemp -d "$cache/.github.XXXXXX")
    if ! npm install --prefix "$half" --ignore-scripts --no-audit --no-fund --no-package-lock "$package" >"$half/log" 2>&1; then
        cat "$half/log" >&2
        printf 'github: npm could not install %s (above: why)\n' "$package" >&2
        exit 1
    fi
    found=$half/node_modules/${package%@*}
    # of the API, the one description that is read; the others have half a gigabyte
    [ "$package" != "$api" ] || find "$found/generated" -name '*.json' ! -name api.github.com.json -delete
    mv -T "$found" "$into" || [ -d "$into" ] # another one may have been faster
    rm -rf "$half"
done
