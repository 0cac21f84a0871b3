#!/usr/bin/env bash
# memory.sh: measures Sluice's memory beyond idle, with 1,000 open slow downloads and during 8 uploads. Prints a table in
# Markdown on standard output, and progress on standard error.
#
# BENCH_DATA is a folder on the disk to use; the script removes its files, up to 9 GB, at the end. BENCH_HOLD (20) is the
# number of seconds that the downloads are open, and BENCH_UPLOAD_MIB (1024) the size of each uploaded file.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
hold=${BENCH_HOLD:-20} upload_mib=${BENCH_UPLOAD_MIB:-1024}
say() { echo "memory.sh: $*" >&2; }

PATH=$PATH:/usr/local/go/bin
for tool in curl go; do
  command -v "$tool" >/dev/null || { say "$tool is missing: Debian: apt-get install curl; Go 1.21 or newer from https://go.dev/dl"; exit 1; }
done

work=$(mktemp -d -p "$(realpath "${BENCH_DATA:-${TMPDIR:-/tmp}}")")
. "$here/serve.sh"
address=127.0.0.1:$(free_port)
trap 'stop_server; rm -rf "$work"' EXIT
trap 'exit 1' INT TERM
(cd "$(dirname "$here")" && go build -o "$work/" ./cmd/sluice ./bench/slow)
SLUICE=$work/sluice data=$work/data

prepare() {
  start_server "$data"
  key=$(first_key "$data")
  head -c 4096 /dev/urandom >"$work/small"
  head -c 64M /dev/urandom >"$work/large"
  small=$(mint "$(upload "$work/small")")
  large=$(mint "$(upload "$work/large")")
  stop_server
  truncate -s "${upload_mib}M" "$work/upload"
}

resident() { # resident FIELD: MiB of the server: VmRSS now, VmHWM at most since it was last set back
  awk -v field="$1:" '$1 == field { printf "%.1f", $2 / 1024 }' "/proc/$server/status"
}

# while_runs WHAT TARGET COMMAND...: prints a row, measured on a new server that has served one request.
while_runs() {
  local idle peak
  start_server "$data"
  curl -fsS -o "$work/got" "$small"
  sleep 2
  idle=$(resident VmRSS)
  echo 5 >"/proc/$server/clear_refs" # sets VmHWM back, proc(5)
  "${@:3}" >&2
  peak=$(resident VmHWM)
  stop_server
  awk -v what="$1" -v target="$2" -v idle="$idle" -v peak="$peak" \
    'BEGIN { printf "| %s | %s MiB | %s MiB | %.1f MiB | %s MiB |\n", what, idle, peak, peak - idle, target }'
}

upload_eight() {
  local id uploads=()
  for _ in 1 2 3 4 5 6 7 8; do
    upload "$work/upload" &
    uploads+=($!)
  done
  for id in "${uploads[@]}"; do
    wait "$id"
  done
}

prepare
echo '| while | idle | at most | beyond idle | must stay under |'
echo '|---|---|---|---|---|'
while_runs "1,000 slow downloads are open" 128 "$work/slow" -downloads 1000 -hold "${hold}s" "$large"
while_runs "8 uploads of $upload_mib MiB run" 96 upload_eight
