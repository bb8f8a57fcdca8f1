#!/usr/bin/env bash
# Makes, once, what the agents' images are built on where no image can be pulled: Debian 12 with its own Python 3.11,
# as a tar of its root in the cache. `python:3.11-slim-bookworm`, which it stands for, is the same with another build of
# Python. Called by real-parts.sh; as root.
#   --where  print the file, and do nothing
set -euo pipefail

suite=bookworm
packages=python3,python3-venv,ca-certificates,netbase,tzdata
mirror=${TURNOUT_DEBIAN_MIRROR:-http://deb.debian.org/debian}
cache=${XDG_CACHE_HOME:-$HOME/.cache}/turnout
into=$cache/agent-base-$(printf '%s' "$suite $packages 1" | cksum | cut -d' ' -f1).tar

case ${1:-} in
--where)
    printf '%s\n' "$into"
    exit
    ;;
esac
[ ! -e "$into" ] || exit 0
if [ "$(id -u)" -ne 0 ]; then
    printf 'agent-base: skipped, it is made as root only\n' >&2
    exit 0
fi

printf 'Making a base for the images of agents …\n'
mkdir -p "$cache"
half=$(mktemp -d "$cache/.agent-base.XXXXXX")
trap 'rm -rf "$half"' EXIT
chmod 755 "$half"
PATH=$PATH:/usr/sbin:/sbin
if ! debootstrap --variant=minbase --include="$packages" "$suite" "$half/root" "$mirror" >"$half/log" 2>&1; then
    tail -n 20 "$half/log" >&2
    printf 'agent-base: debootstrap failed (above: why)\n' >&2
    exit 1
fi
ln -s python3 "$half/root/usr/bin/python"
rm -rf "$half"/root/var/cache/apt/*.bin "$half"/root/var/cache/apt/archives/*.deb "$half"/root/var/lib/apt/lists/* \
    "$half"/root/usr/share/{doc,man,info,locale} "$half"/root/var/log/*
tar --create --numeric-owner --one-file-system --file "$half/base.tar" --directory "$half/root" .
mv "$half/base.tar" "$into"
