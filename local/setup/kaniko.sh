#!/usr/bin/env bash
# Builds kaniko's executor from its Go module, once, for the real tests of the build agent. Called by real-parts.sh.
# Upstream's last release, which the Go proxy keeps for ever; images of kaniko that people run come from a fork
# (agents/build/kaniko.Dockerfile). Six minutes of two cores the first time.
#   --where  print the path of the executor, and do nothing
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
module=github.com/GoogleContainerTools/kaniko
version=v1.24.0
sum=h1:PgzzuOwaraxC7UMw0F0YoxNHi+a6YeiAbDgc2GHrk+M= # of the module's files, as go.sum has it
cache=${XDG_CACHE_HOME:-$HOME/.cache}/turnout
into=$cache/kaniko-$version/executor

case ${1:-} in
--where)
    printf '%s\n' "$into"
    exit
    ;;
esac
[ ! -x "$into" ] || exit 0
fail() {
    [ ! -s "$half/log" ] || tail -20 "$half/log" >&2
    printf 'kaniko: %s\n' "$1" >&2
    exit 1
}
half=''
trap 'chmod -R u+w "$half" 2>/dev/null; rm -rf "$half"' EXIT
mkdir -p "$cache"
half=$(mktemp -d "$cache/.kaniko.XXXXXX")
go=$("$here/go.sh")
unset GOROOT # another one's
printf 'Building kaniko %s …\n' "$version"
export GOFLAGS=-mod=readonly GOWORK=off CGO_ENABLED=0 GOTOOLCHAIN=local
cd "$half"
"$go" mod download -json "$module@$version" >found 2>log || fail "its module could not be fetched (above: why)"
grep -qF "\"Sum\": \"$sum\"" found || fail "its module is not the one that is expected"
cp -r "$(sed -n 's/^\t"Dir": "\(.*\)",$/\1/p' found)" source
chmod -R u+w source
(cd source && nice -n 10 "$go" build -p 2 -trimpath \
    -ldflags "-s -w -X $module/pkg/version.version=$version" -o ../executor ./cmd/executor) >log 2>&1 ||
    fail 'it could not be built (above: why)'
mkdir -p "${into%/*}"
mv -T executor "$into"
