#!/usr/bin/env bash
# Installs the systems that Turnout is compared with, in a virtual environment of their own in the cache, from
# requirements.txt (pinned, hashed), and Debian's Redis for Celery. What is there already is left alone, so the second
# call is instant. Called by `make real-parts` and `make bench`.
#   --where  print the environment's folder, and do nothing
#   --lock   resolve requirements.in anew into requirements.txt
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
version=$(cksum <"$here/requirements.txt" | cut -d' ' -f1)
cache=${XDG_CACHE_HOME:-$HOME/.cache}/turnout
venv=$cache/peers-$version
uv=$root/.venv/bin/uv

fail() {
    printf 'peers: %s\n' "$1" >&2
    exit 1
}

case ${1:-} in
--where)
    printf '%s\n' "$venv"
    exit
    ;;
--lock)
    env -u PIP_FIND_LINKS -u UV_FIND_LINKS "$uv" pip compile --quiet --system-certs --universal --python-version 3.11 \
        --generate-hashes --no-emit-index-url --no-emit-find-links \
        --custom-compile-command 'tests/peers/setup.sh --lock' \
        --output-file "$here/requirements.txt" "$here/requirements.in"
    exit
    ;;
esac

log=$(mktemp "${TMPDIR:-/tmp}/turnout-peers.XXXXXX")
policy=/usr/sbin/policy-rc.d
made_policy=
half=
finish() {
    rm -f "$log"
    [ -z "$half" ] || rm -rf "$half"
    [ -z "$made_policy" ] || "${as_root[@]+"${as_root[@]}"}" rm -f "$policy"
}
trap finish EXIT

# Quiet when it goes well, everything when it doesn't.
run() {
    "$@" >"$log" 2>&1 && return
    cat "$log" >&2
    return 1
}

as_root=()
install_redis() {
    command -v apt-get >/dev/null || fail 'redis-server is missing, and there is no apt-get: install it your way'
    if [ "$(id -u)" -ne 0 ]; then
        command -v sudo >/dev/null || fail 'redis-server is missing; as root: apt-get install redis-server'
        as_root=(sudo)
    fi
    if [ ! -e "$policy" ]; then # the benchmark starts a server of its own; the package's is not wanted
        printf '#!/bin/sh\nexit 101\n' | ${as_root[@]+"${as_root[@]}"} tee "$policy" >/dev/null
        ${as_root[@]+"${as_root[@]}"} chmod 755 "$policy"
        made_policy=1
    fi
    local apt=(env DEBIAN_FRONTEND=noninteractive apt-get -q -y)
    run ${as_root[@]+"${as_root[@]}"} "${apt[@]}" update || fail 'apt-get update failed (above: why)'
    run ${as_root[@]+"${as_root[@]}"} "${apt[@]}" install --no-install-recommends redis-server ||
        fail 'apt-get could not install redis-server (above: why)'
}

command -v redis-server >/dev/null || {
    printf 'Installing redis-server …\n'
    install_redis
}

[ ! -e "$venv/.ready" ] || exit 0
[ -x "$uv" ] || fail "call 'make setup' first"
printf 'Installing the systems to compare with …\n'
mkdir -p "$cache"
exec 9>"$cache/peers.lock"
flock 9 # another checkout may be at it
[ ! -e "$venv/.ready" ] || exit 0
half=$venv
rm -rf "$venv"
run "$root/.venv/bin/python" -m venv "$venv" || fail 'the virtual environment could not be made (above: why)'
export PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_INPUT=1
run "$uv" pip sync --quiet --system-certs --require-hashes --compile-bytecode --python "$venv/bin/python" \
    "$here/requirements.txt" ||
    run "$venv/bin/python" -m pip install --quiet --require-hashes --requirement "$here/requirements.txt" ||
    fail 'the locked packages could not be installed (above: why)'
touch "$venv/.ready"
half=
