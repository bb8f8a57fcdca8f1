#!/usr/bin/env bash
# Puts payloads that GitHub really sent (npm's @octokit/webhooks-examples) into the cache, once. The tests of the
# webhook read them from there. Called by real-parts.sh; --where prints the folder.
set -euo pipefail
version=7.6.1
cache=${XDG_CACHE_HOME:-$HOME/.cache}/turnout/npm
into=$cache/webhooks-examples-$version

if [ "${1:-}" = --where ]; then
    printf '%s\n' "$into"
    exit
fi
[ ! -d "$into" ] || exit 0

printf 'Fetching real webhook payloads …\n'
mkdir -p "$cache"
half=$(mktemp -d "$cache/.webhooks-examples.XXXXXX")
trap 'rm -rf "$half"' EXIT
if ! npm install --prefix "$half" --ignore-scripts --no-audit --no-fund --no-package-lock \
    "@octokit/webhooks-examples@$version" >"$half/log" 2>&1; then
    cat "$half/log" >&2
    printf 'webhook-examples: npm could not install @octokit/webhooks-examples@%s (above: why)\n' "$version" >&2
    exit 1
fi
mv -T "$half/node_modules/@octokit/webhooks-examples" "$into" || [ -d "$into" ] # another one may have been faster
