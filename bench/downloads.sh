#!/usr/bin/env bash
# downloads.sh: measures downloads of the same files from nginx with secure_link, from net/http alone, from versitygw by
# presigned URLs, and from Sluice, in turn with the same wrk command line. Prints tables in Markdown on standard output,
# and progress on standard error.
#
# BENCH_DATA is a folder on the disk to measure; the script removes its files at the end. BENCH_ROUNDS (5) and
# BENCH_SECONDS (5) are rounds and seconds of each measurement.
# BENCH_FLAGS (--no-fast-path) are flags of sluice serve: a second Sluice that is started with them is measured too,
# unless they are empty.
# BENCH_FILLED is a data folder that bench/fill filled: a Sluice that serves it is measured too. The folder grows.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
export BENCH_SECONDS=${BENCH_SECONDS:-5}
# shellcheck source=bench/compare.sh
. "$here/compare.sh"
need nginx wrk curl go

sides=(nginx nginx_plain bare versitygw sluice)
variants=(sluice) # the sides that the bars are for
declare -A name=([nginx]='nginx secure_link' [nginx_plain]='the same without open_file_cache' [bare]='net/http alone'
  [versitygw]='versitygw presigned' [sluice]=Sluice)
BENCH_FLAGS=${BENCH_FLAGS---no-fast-path}
[ -z "$BENCH_FLAGS" ] || { sides+=(flags); variants+=(flags); name[flags]="Sluice $BENCH_FLAGS"; }
[ -z "${BENCH_FILLED:-}" ] || { sides+=(filled); name[filled]='Sluice with a filled ledger'; }

sizes=(4096 65536 1048576 1073741824)
loads=(4096-32 4096-256 65536-32 1048576-32 1073741824-4) # size and connections
declare -A title=([4096-32]='4 KiB, 32' [4096-256]='4 KiB, 256' [65536-32]='64 KiB, 32' [1048576-32]='1 MiB, 32'
  [1073741824-4]='1 GiB, 4')
declare -A rate_bar=([4096-32]=0.4 [4096-256]=0.7 [65536-32]=0.7 [1048576-32]=1.0 [1073741824-4]=1.0) # of nginx
declare -A url=() # of a side and a size

build() {
  say building
  (cd "$root" && go build -o "$work/" ./cmd/sluice ./bench/bare ./bench/presign ./bench/ask)
  SLUICE=$work/sluice
  if [ ! -e "$root/tools/versitygw/go.mod" ]; then
    say "versitygw is left out: tools/versitygw is not here"
    mapfile -t sides < <(printf '%s\n' "${sides[@]}" | grep -v versitygw)
    return
  fi
  say "building versitygw, which takes minutes the first time"
  go build -C "$root/tools/versitygw" -o "$work/versitygw" github.com/versity/versitygw/cmd/versitygw
}

files() {
  local size
  mkdir "$work/files"
  for size in "${sizes[@]}"; do
    head -c "$size" /dev/urandom >"$work/files/$size"
  done
}

link_nginx() { # URLs that end tomorrow, for both nginx sides
  local side size expires md5
  expires=$(($(date +%s) + 86400))
  for side in nginx nginx_plain; do
    for size in "${sizes[@]}"; do
      md5=$(md5_base64url "$expires/files/$size $nginx_secret")
      url[$side $size]="http://${at[$side]}/files/$size?md5=$md5&expires=$expires"
    done
  done
}

md5_base64url() { # of a string, as secure_link wants it
  local hex
  hex=$(printf %s "$1" | md5sum | cut -c -32 | sed 's/../\\x&/g')
  printf %b "$hex" | base64 | tr '+/' '-_' | tr -d '='
}

start_bare() {
  local size
  at[bare]=127.0.0.1:$(free_port)
  "$work/bare" -listen "${at[bare]}" -dir "$work/files" 2>"$work/bare.log" &
  process[bare]=$!
  await bare "$work/bare.log"
  for size in "${sizes[@]}"; do
    url[bare $size]=http://${at[bare]}/$size
  done
}

start_versitygw() {
  local size
  [ -x "$work/versitygw" ] || return 0
  at[versitygw]=127.0.0.1:$(free_port)
  export AWS_ACCESS_KEY_ID=bench AWS_SECRET_ACCESS_KEY=not-much-of-a-secret
  mkdir -p "$work/s3/files"
  ROOT_ACCESS_KEY=$AWS_ACCESS_KEY_ID ROOT_SECRET_KEY=$AWS_SECRET_ACCESS_KEY \
    "$work/versitygw" --port "${at[versitygw]}" --region us-east-1 --quiet --keep-alive posix "$work/s3" \
    >"$work/versitygw.log" 2>&1 &
  process[versitygw]=$!
  await versitygw "$work/versitygw.log"
  for size in "${sizes[@]}"; do
    url[versitygw $size]=$("$work/presign" "http://${at[versitygw]}/files/$size")
    curl -fsS -T "$work/files/$size" "$("$work/presign" -method PUT "http://${at[versitygw]}/files/$size")"
  done
}

# link_sluice SIDE SIZE...: uploads the files, and mints a link to each.
link_sluice() {
  local size
  use "$1"
  for size in "${@:2}"; do
    url[$1 $size]=$(mint "$(upload "$work/files/$size")")
  done
}

start_sluices() {
  start_sluice sluice "$work/sluice-data"
  link_sluice sluice "${sizes[@]}"
  if [ -n "$BENCH_FLAGS" ]; then
    read -ra flags <<<"$BENCH_FLAGS"
    start_sluice flags "$work/flags-data" "${flags[@]}"
    link_sluice flags "${sizes[@]}"
  fi
  if [ -n "${BENCH_FILLED:-}" ]; then
    start_sluice filled "$(realpath "$BENCH_FILLED")"
    link_sluice filled 4096 65536 # the ledger matters to small files only
  fi
}

has() { [ -n "${url[$1 $2]:-}" ]; } # has SIDE SIZE: whether the side serves the file

same_bytes() { # every side gives the bytes of every file
  local side size
  for side in "${sides[@]}"; do
    for size in "${sizes[@]}"; do
      has "$side" "$size" || continue
      curl -fsS "${url[$side $size]}" | cmp - "$work/files/$size" || fail "$side does not give the file of $size bytes"
    done
  done
}

next_entry() { # the seq that the next entry in the log will have; deliveries in an entry name earlier ones
  api '/v1/audit_entries?limit=1' | grep -o '"seq":[0-9]*' | cut -d: -f2 | sort -n |
    awk '{ last = $1 } END { print last + 1 }'
}

check_log() { # check_log NEXT ANSWERS: the log has grown by an entry for each; returns when they are signed for
  local next deadline=$((SECONDS + 60))
  next=$(next_entry)
  [ $((next - $1)) -ge "$2" ] || fail "Sluice answered $2 requests and has $((next - $1)) entries of them"
  until [ "$(api /v1/ledger/checkpoint | sed -n 2p)" -ge "$next" ]; do
    [ "$SECONDS" -lt "$deadline" ] || fail "there is no checkpoint of $next entries"
    sleep 0.1
  done
}

# measure SIDE WHAT COMMAND...: runs a command that loads the side and prints in the format of downloads.lua, and keeps
# a line of results: side, what, requests/s, MB/s, p50, p99, and processor time in µs, of a request or, at 1 GiB, of a
# GiB, since few such requests end while they are measured. Sluice's processor time includes its later work for these
# requests, up to the checkpoint.
measure() {
  local line before next='' rate mb p50 p99 requests errors
  [ -z "${secret[$1]:-}" ] || { use "$1"; next=$(next_entry); }
  before=$(cpu "$1")
  line=$("${@:3}" | tail -n 1)
  read -r rate mb p50 p99 requests errors <<<"$line"
  if [ "$errors" != 0 ] || [ "$mb $requests" = '0.0 0' ]; then
    fail "$1, $2: not all requests were answered with success: $line"
  fi
  [ -z "$next" ] || check_log "$next" "$requests"
  awk -v what="$1 $2" -v figures="$rate $mb $p50 $p99" -v n="$requests" -v mb="$mb" -v seconds="$seconds" \
    -v ticks=$(($(cpu "$1") - before)) -v hz="$(getconf CLK_TCK)" 'BEGIN {
      if (what ~ / 1073741824-/) n = mb * 1e6 * seconds / 1073741824
      printf "%s %s %.1f\n", what, figures, ticks / hz / n * 1e6
    }' | tee -a "$work/results" >&2
}

load_with_wrk() { # load_with_wrk CONNECTIONS URL
  wrk -t1 -c"$1" -d"${seconds}s" --timeout 60s -s "$here/downloads.lua" "$2"
}

compare() {
  local round load side size
  for ((round = 1; round <= rounds; round++)); do
    for load in "${loads[@]}"; do
      size=${load%-*}
      for side in "${sides[@]}"; do
        has "$side" "$size" || continue
        measure "$side" "$load" load_with_wrk "${load#*-}" "${url[$side $size]}"
      done
    done
  done
}

# bench/ask sends the requests of without_body, because wrk cannot send HEAD.
without_body() {
  local round side etag link ask=("$work/ask" -duration "${seconds}s")
  for ((round = 1; round <= rounds; round++)); do
    for side in "${variants[@]}"; do
      link=${url[$side 4096]}
      etag=$(curl -fsSI "$link" | tr -d '\r' | sed -n 's/^etag: //Ip')
      measure "$side" GET "${ask[@]}" "$link"
      measure "$side" HEAD "${ask[@]}" -method HEAD "$link"
      measure "$side" 304 "${ask[@]}" -status 304 -header "If-None-Match: $etag" "$link"
    done
  done
}

row() { printf '| %s ' "$@"; echo '|'; }

column_of_rate() { # column_of_rate LOAD: requests/s, and MB/s at 1 GiB
  case $1 in 1073741824-*) echo 4 ;; *) echo 3 ;; esac
}

# of OTHER WHAT COLUMN SIDE: a figure of a side as a multiple of that of another one; nothing when that is left out.
of() {
  local other
  other=$(medians "$1" "$2" "$3")
  [ -z "$other" ] || divide "$(medians "$4" "$2" "$3")" "$other"
}

print_downloads() {
  local load side
  row 'body, connections' server requests/s MB/s 'of nginx' 'of versitygw' p50 p99 'of nginx' 'processor time' \
    'of nginx'
  echo '|---|---|---|---|---|---|---|---|---|---|---|'
  for load in "${loads[@]}"; do
    for side in "${sides[@]}"; do
      ! has "$side" "${load%-*}" || print_row "$load" "$side"
    done
  done
}

print_row() { # print_row LOAD SIDE
  local load=$1 side=$2 rates rate mb p50 p99 cpu nginx_p99 took
  rates=$(column_of_rate "$load")
  read -r rate mb p50 p99 cpu < <(medians "$side" "$load" 3 4 5 6 7)
  nginx_p99=$(of nginx "$load" 6 "$side")
  took="$cpu µs"
  [ "$rates" = 3 ] || { rate='' p50='' p99='' nginx_p99='' took="$(divide "$cpu" 1000 %.0f) ms"; }
  row "${title[$load]}" "${name[$side]}" "$rate" "$mb" "$(of nginx "$load" "$rates" "$side")" \
    "$(of versitygw "$load" "$rates" "$side")" "${p50:+$p50 ms}" "${p99:+$p99 ms}" "$nginx_p99" "$took" \
    "$(of nginx "$load" 7 "$side")"
}

print_without_body() {
  local side what rate mb p50 p99 cpu
  row 'answer, 32 connections' server requests/s 'of GET' p50 p99 'processor time'
  echo '|---|---|---|---|---|---|---|'
  for side in "${variants[@]}"; do
    for what in GET HEAD 304; do
      read -r rate mb p50 p99 cpu < <(medians "$side" "$what" 3 4 5 6 7)
      row "$what" "${name[$side]}" "$rate" "$(of_get "$what" "$side")" "$p50 ms" "$p99 ms" "$cpu µs"
    done
  done
}

of_get() { divide "$(medians "$2" "$1" 3)" "$(medians "$2" GET 3)"; } # of_get WHAT SIDE

print_bars() {
  local load side dashes='|---|---|' names=()
  for side in "${variants[@]}"; do
    dashes+='---|' names+=("${name[$side]}")
  done
  row bar 'must be' "${names[@]}"
  echo "$dashes"
  for load in "${loads[@]}"; do
    bar "${title[$load]}: rate, of nginx" "at least ${rate_bar[$load]}" of nginx "$load" "$(column_of_rate "$load")"
  done
  for load in 4096-32 4096-256 65536-32; do
    bar "${title[$load]}: rate, of versitygw" 'at least 2' of versitygw "$load" 3
  done
  for load in 4096-32 4096-256 65536-32 1048576-32; do
    bar "${title[$load]}: p99, of nginx" 'at most 2' of nginx "$load" 6
  done
  for load in 4096-32 4096-256; do
    bar "${title[$load]}: processor time, µs" 'at most 35' processor_time "$load"
  done
  bar 'HEAD: rate, of GET' 'at least 1' of_get HEAD
  bar '304: rate, of GET' 'at least 1' of_get 304
  [ -n "${BENCH_FILLED:-}" ] || return 0
  for load in 4096-32 4096-256 65536-32; do
    bar "${title[$load]}: rate with the filled ledger, of the empty one" 'at least 0.9' of_empty "$load"
  done
}

bar() { # bar WHAT BOUND COMMAND...: prints a row; the command gets a side and prints its figure
  local side figures=()
  for side in "${variants[@]}"; do
    figures+=("$("${@:3}" "$side")")
  done
  row "$1" "$2" "${figures[@]}"
}

processor_time() { medians "$2" "$1" 7; }                        # processor_time LOAD SIDE
of_empty() { [ "$2" != sluice ] || of sluice "$1" 3 filled; }    # of_empty LOAD SIDE

about() {
  local gateway=
  if [ -x "$work/versitygw" ]; then
    gateway="; versitygw $(awk '$1 == "github.com/versity/versitygw" { print $2 }' "$root/tools/versitygw/go.mod")"
  fi
  echo "$rounds rounds of $seconds s; wrk $(wrk -v 2>&1 | sed -n '1s,^wrk \(debian/\)*\([^ ]*\).*,\2,p')$gateway"
}

build
files
start_nginx
link_nginx
start_bare
start_versitygw
start_sluices
same_bytes
print_where "$(about)"
compare
without_body
echo
print_downloads
echo
print_without_body
echo
print_bars
