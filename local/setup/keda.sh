#!/usr/bin/env bash
# Puts what the chart of the agents is tried on into the cache, once, from KEDA's Go module, which the Go proxy keeps for ever:
# the definitions of its resources. Called by real-parts.sh.
#   --operator  build its operator and its metrics server, too (many minutes of two cores): make keda
#   --where     print the folder, and do nothing; crds/ has the definitions, bin/ the programs where they were built
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
module=github.com/kedacore/keda/v2
version=v2.21.0
sum=h1:R6z2HZvstK4RLUMxroNACzBj74xGxt3kG59b5Xc+Xps= # of the module's files, as go.sum has it
cache=${XDG_CACHE_HOME:-$HOME/.cache}/turnout
into=$cache/keda-$version

case ${1:-} in
--where)
    printf '%s\n' "$into"
    exit
    ;;
--operator) [ ! -x "$into/bin/adapter" ] || exit 0 ;;
*) [ ! -d "$into/crds" ] || exit 0 ;;
esac
fail() {
    [ ! -s "$half/log" ] || tail -20 "$half/log" >&2
    printf 'keda: %s\n' "$1" >&2
    exit 1
}
half=''
trap 'chmod -R u+w "$half" 2>/dev/null; rm -rf "$half"' EXIT
mkdir -p "$cache"
half=$(mktemp -d "$cache/.keda.XXXXXX")
go=$("$here/go.sh")
unset GOROOT # another one's
export GOFLAGS=-mod=readonly GOWORK=off CGO_ENABLED=0 GOTOOLCHAIN=local
cd "$half"
"$go" mod download -json "$module@$version" >found 2>log || fail "its module could not be fetched (above: why)"
grep -qF "\"Sum\": \"$sum\"" found || fail 'its module is not the one that is expected'
source=$(sed -n 's/^\t"Dir": "\(.*\)",$/\1/p' found)
mkdir -p "$into"
if [ ! -d "$into/crds" ]; then
    cp -r "$source/config/crd/bases" crds
    chmod -R u+w crds
    mv -T crds "$into/crds" 2>/dev/null || [ -d "$into/crds" ] # another one may have been faster
fi
[ "${1:-}" = --operator ] || exit 0

printf 'Building KEDA %s (once; many minutes) …\n' "$version"
cp -r "$source" source
chmod -R u+w source
(cd source && nice -n 10 "$go" build -trimpath -buildvcs=false -gcflags=all=-dwarf=false -ldflags '-s -w' \
    -o ../bin/ ./cmd/operator ./cmd/adapter) >log 2>&1 || fail 'it could not be built (above: why)'
mv -T bin "$into/bin" 2>/dev/null || [ -x "$into/bin/adapter" ]
