#!/usr/bin/env bash
# get.sh DIR ROWS: measures GET of single files and links over HTTP from the real binary, on a data folder filled by
# bench/fill, and prints rows of a table.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
data=$1 rows=$2
. "$here/serve.sh"

start_server "$data"
for kind in files links; do
  prefix=/v1/files/
  [ "$kind" = files ] || prefix=/v1/file_links/
  # With pauses, the server is idle between requests, and the latency is the time of one response. Without pauses,
  # clients wait for each other.
  for way in '1 0' '32 10' '32 0'; do
    read -r clients pause <<<"$way"
    lines=''
    for _ in 1 2 3; do
      line=$(BENCH_PAUSE=$pause load "$clients" GET "$prefix" "$data/bench-$kind")
      echo "get $kind, $clients clients, pause $pause ms: $line" >&2
      lines+=$line$'\n'
    done
    [ "$pause" = 0 ] && how=$clients || how="$clients, each up to $((1000 / pause))/s"
    echo "| GET one of the $kind | $rows | $how | $(printf %s "$lines" | median 2) ms |" \
      "$(printf %s "$lines" | median 3) ms | $(printf %s "$lines" | median 1)/s |"
  done
done
stop_server
