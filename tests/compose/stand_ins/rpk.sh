#!/bin/bash
# Of `rpk`: `cluster health` alone.
[ "$*" = 'cluster health' ] || { echo "rpk: $* is not known here" >&2; exit 2; }
if (exec 3<>/dev/tcp/127.0.0.1/9092) 2>/dev/null; then healthy=true; else healthy=false; fi
printf 'CLUSTER HEALTH OVERVIEW\n=======================\nHealthy:                          %s\n' "$healthy"
