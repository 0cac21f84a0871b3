#!/usr/bin/env bash
# mint.sh DIR ROWS: measures minting of links over HTTP with the real binary, on a data folder filled by bench/fill, and
# prints a row of a table. The folder grows.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
data=$1 rows=$2
. "$here/serve.sh"

start_server "$data"
one='' many=''
for _ in 1 2 3; do # rounds, both sides in turn
  for clients in 1 32; do
    line=$(load "$clients" POST /v1/files/ "$data/bench-files" /links '{"expires_in_seconds":3600,"metadata":{"case":"4711"}}')
    echo "mint, $clients clients: $line" >&2
    [ "$clients" = 1 ] && one+=$line$'\n' || many+=$line$'\n'
  done
done
stop_server
single=$(printf %s "$one" | median 1) rate=$(printf %s "$many" | median 1)
echo "| $rows | $single/s | $rate/s | $(awk "BEGIN { printf \"%.1f\", $rate / $single }") |" \
  "$(printf %s "$many" | median 2) ms | $(printf %s "$many" | median 3) ms |"
