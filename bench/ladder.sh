#!/usr/bin/env bash
# ladder.sh: shows where the processor time of a download of 4 KiB goes: each rung does a part more of what Sluice does.
# Prints a table in Markdown on standard output, and progress on standard error.
#
# BENCH_DATA is a folder on the disk to measure, and BENCH_MEMORY (/dev/shm) one in memory; the script removes its files
# at the end. BENCH_ROUNDS (5) and BENCH_SECONDS (5) are rounds and seconds of each measurement.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
export BENCH_SECONDS=${BENCH_SECONDS:-5}
# shellcheck source=bench/compare.sh
. "$here/compare.sh"
need nginx wrk curl go

rungs=(raw http decide seal group journal) # of bench/ladder
sides=(nginx "${rungs[@]}" memory sluice)
declare -A name=(
  [nginx]='nginx secure_link, for comparison'
  [raw]='a loop in Go that reads a request and writes the same bytes as Sluice'
  [http]='+ requests are parsed, the HMAC is checked, heads are written: Sluice without a decision'
  [decide]='+ the decision by the gate, from memory'
  [seal]='+ the entry is sealed'
  [group]='+ one goroutine decides in groups, and wakes who waits'
  [journal]='+ one write and one fdatasync for a group'
  [memory]='Sluice on a file system in memory: + packing, SQLite, index, checkpoints, but no disk'
  [sluice]='Sluice on the disk'
)
declare -A url=()
in_memory=$(mktemp -d -p "${BENCH_MEMORY:-/dev/shm}")
trap 'stop; rm -rf "$in_memory"' EXIT

start_rungs() {
  local rung
  for rung in "${rungs[@]}"; do
    at[$rung]=127.0.0.1:$(free_port)
    mkdir "$work/$rung"
    "$work/ladder" -listen "${at[$rung]}" -dir "$work/$rung" -rung "$rung" >"$work/$rung.url" 2>"$work/$rung.log" &
    process[$rung]=$!
    await "$rung" "$work/$rung.log"
    url[$rung]=$(cat "$work/$rung.url")
  done
}

start_both() {
  head -c 4096 /dev/urandom >"$work/4096"
  start_sluice sluice "$work/sluice-data"
  start_sluice memory "$in_memory/data"
  local side
  for side in sluice memory; do
    use "$side"
    url[$side]=$(mint "$(upload "$work/4096")")
  done
}

start_file() { # nginx serves a file of the same size
  local expires md5
  mkdir "$work/files"
  cp "$work/4096" "$work/files/"
  start_nginx
  expires=$(($(date +%s) + 86400))
  md5=$(printf %s "$expires/files/4096 $nginx_secret" | openssl md5 -binary | base64 | tr '+/' '-_' | tr -d '=')
  url[nginx]="http://${at[nginx]}/files/4096?md5=$md5&expires=$expires"
}

# measure SIDE CONNECTIONS: keeps a line of results: side, connections, requests/s, and µs of processor time a request.
# A second of rest lets Sluice end what it does later: deliveries, checkpoints, and moving the WAL.
measure() {
  local before rate mb p50 p99 requests errors
  before=$(cpu "$1")
  read -r rate mb p50 p99 requests errors < <(
    wrk -t1 -c"$2" -d"${seconds}s" -s "$here/downloads.lua" "${url[$1]}" | tail -n 1)
  [ "$errors" = 0 ] && [ "$requests" != 0 ] || fail "$1: not all requests were answered with success"
  sleep 1.2
  awk -v side="$1" -v connections="$2" -v rate="$rate" -v n="$requests" -v ticks=$(($(cpu "$1") - before)) \
    -v hz="$(getconf CLK_TCK)" \
    'BEGIN { printf "%s %s %s %.1f\n", side, connections, rate, ticks / hz / n * 1e6 }' | tee -a "$work/results" >&2
}

least() { # least SIDE CONNECTIONS: of its processor times
  awk -v side="$1" -v n="$2" '$1 == side && $2 == n { print $4 }' "$work/results" | sort -g | head -n 1
}

print_rungs() {
  local side
  echo '| 4 KiB | 32 connections | least | requests/s | 256 connections | least | requests/s |'
  echo '|---|---|---|---|---|---|---|'
  for side in "${sides[@]}"; do
    echo "| ${name[$side]} | $(medians "$side" 32 4) µs | $(least "$side" 32) µs | $(medians "$side" 32 3) |" \
      "$(medians "$side" 256 4) µs | $(least "$side" 256) µs | $(medians "$side" 256 3) |"
  done
}

say building
(cd "$root" && go build -o "$work/" ./cmd/sluice ./bench/ladder)
SLUICE=$work/sluice
start_rungs
start_both
start_file
print_where "$rounds rounds of $seconds s"
for ((round = 1; round <= rounds; round++)); do
  for connections in 32 256; do
    for side in "${sides[@]}"; do
      measure "$side" "$connections"
    done
  done
done
echo
print_rungs
