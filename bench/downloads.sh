#!/usr/bin/env bash
# downloads.sh: measures downloads of the same files from nginx with secure_link, from net/http alone, from versitygw by
# presigned URLs, and from Sluice, alternately with the same wrk command line. Prints tables in Markdown on standard
# output, and progress on standard error.
#
# BENCH_DATA is a folder on the disk to measure; the script removes its files, 6 GB, at the end. BENCH_ROUNDS (5) and
# BENCH_SECONDS (5) are rounds and seconds of each measurement.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
root=$(dirname "$here")
rounds=${BENCH_ROUNDS:-5}
export BENCH_SECONDS=${BENCH_SECONDS:-5}
say() { echo "downloads.sh: $*" >&2; }
fail() { say "$*"; exit 1; }

PATH=$PATH:/usr/sbin:/usr/local/go/bin
absent=
for tool in nginx wrk curl go; do
  command -v "$tool" >/dev/null || absent+=" $tool"
done
[ -z "$absent" ] || fail "missing:$absent. Debian: apt-get install nginx wrk curl; Go 1.21 or newer from https://go.dev/dl"

work=$(mktemp -d -p "$(realpath "${BENCH_DATA:-${TMPDIR:-/tmp}}")")
. "$here/serve.sh"
address=127.0.0.1:$(free_port)
declare -A process=() # of each side, the id of the process that answers, or whose children do
stop() {
  local side
  stop_server
  for side in nginx bare versitygw; do
    [ -z "${process[$side]:-}" ] || kill "${process[$side]}" 2>/dev/null || true
  done
  wait
  rm -rf "$work"
}
trap stop EXIT
trap 'exit 1' INT TERM

sides=(nginx bare versitygw sluice)
declare -A name=([nginx]='nginx secure_link' [bare]='net/http alone' [versitygw]='versitygw presigned' [sluice]=Sluice)
sizes=(4096 65536 1048576 1073741824)
declare -A body=([4096]='4 KiB' [65536]='64 KiB' [1048576]='1 MiB' [1073741824]='1 GiB')
declare -A connections=([4096]=32 [65536]=32 [1048576]=32 [1073741824]=4)
declare -A target=([4096]=0.5 [65536]=0.55 [1048576]=0.85 [1073741824]=0.95) # of the rate of nginx
declare -A url=() # of a side and a size

build() {
  say building
  (cd "$root" && go build -o "$work/" ./cmd/sluice ./bench/bare ./bench/presign ./bench/ask)
  SLUICE=$work/sluice
  if [ ! -e "$root/tools/versitygw/go.mod" ]; then
    say "versitygw is left out: tools/versitygw is not here"
    sides=(nginx bare sluice)
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

await() { # await SIDE ADDRESS LOG: returns when something listens there
  until (exec 3<>"/dev/tcp/${2/://}") 2>/dev/null; do
    kill -0 "${process[$1]}" 2>/dev/null || { cat "$3" >&2; fail "$1 did not start"; }
    sleep 0.05
  done
}

# nginx with a careful configuration. Connections stay open as with the other servers: by default, nginx closes a
# connection after 1,000 requests.
start_nginx() {
  local at size expires secret=not-much-of-a-secret user=
  at=127.0.0.1:$(free_port)
  [ "$(id -u)" != 0 ] || user='user root;' # whose folder it is
  cat >"$work/nginx.conf" <<END
daemon off;
$user
worker_processes auto;
pid "$work/nginx.pid";
error_log "$work/nginx.error";
events { worker_connections 1024; }
http {
  access_log "$work/nginx.access";
  sendfile on;
  tcp_nopush on;
  keepalive_requests 1000000000;
  client_body_temp_path "$work/nginx.body";
  proxy_temp_path "$work/nginx.proxy";
  fastcgi_temp_path "$work/nginx.fastcgi";
  uwsgi_temp_path "$work/nginx.uwsgi";
  scgi_temp_path "$work/nginx.scgi";
  server {
    listen $at;
    location /files/ {
      root "$work";
      secure_link \$arg_md5,\$arg_expires;
      secure_link_md5 "\$secure_link_expires\$uri $secret";
      if (\$secure_link = "") { return 403; }
      if (\$secure_link = "0") { return 410; }
    }
  }
}
END
  nginx -e "$work/nginx.error" -p "$work" -c "$work/nginx.conf" &
  process[nginx]=$!
  await nginx "$at" "$work/nginx.error"
  expires=$(($(date +%s) + 86400))
  for size in "${sizes[@]}"; do
    url[nginx $size]="http://$at/files/$size?md5=$(md5_base64url "$expires/files/$size $secret")&expires=$expires"
  done
}

md5_base64url() { # of a string, as secure_link wants it
  local hex
  hex=$(printf %s "$1" | md5sum | cut -c -32 | sed 's/../\\x&/g')
  printf "$hex" | base64 | tr '+/' '-_' | tr -d '='
}

start_bare() {
  local at size
  at=127.0.0.1:$(free_port)
  "$work/bare" -listen "$at" -dir "$work/files" 2>"$work/bare.log" &
  process[bare]=$!
  await bare "$at" "$work/bare.log"
  for size in "${sizes[@]}"; do
    url[bare $size]=http://$at/$size
  done
}

start_versitygw() {
  local at size
  [ -x "$work/versitygw" ] || return 0
  at=127.0.0.1:$(free_port)
  export AWS_ACCESS_KEY_ID=bench AWS_SECRET_ACCESS_KEY=not-much-of-a-secret
  mkdir -p "$work/s3/files"
  ROOT_ACCESS_KEY=$AWS_ACCESS_KEY_ID ROOT_SECRET_KEY=$AWS_SECRET_ACCESS_KEY \
    "$work/versitygw" --port "$at" --region us-east-1 --quiet --keep-alive posix "$work/s3" >"$work/versitygw.log" 2>&1 &
  process[versitygw]=$!
  await versitygw "$at" "$work/versitygw.log"
  for size in "${sizes[@]}"; do
    url[versitygw $size]=$("$work/presign" "http://$at/files/$size")
    curl -fsS -T "$work/files/$size" "$("$work/presign" -method PUT "http://$at/files/$size")"
  done
}

start_sluice() {
  local size
  start_server "$work/sluice-data"
  process[sluice]=$server
  key=$(first_key "$work/sluice-data")
  for size in "${sizes[@]}"; do
    url[sluice $size]=$(mint "$(upload "$work/files/$size")")
  done
}

same_bytes() { # every side gives the bytes of every file
  local side size
  for side in "${sides[@]}"; do
    for size in "${sizes[@]}"; do
      curl -fsS "${url[$side $size]}" | cmp - "$work/files/$size" || fail "$side does not give the file of ${body[$size]}"
    done
  done
}

cpu() { # cpu SIDE: ticks of processor time that its process and the children of that have taken
  local id
  for id in "${process[$1]}" $(cat "/proc/${process[$1]}/task/${process[$1]}/children"); do
    sed 's/.*) //' "/proc/$id/stat"
  done | awk '{ ticks += $12 + $13 + $14 + $15 } END { print ticks }'
}

next_entry() { # the seq that the next entry in the log of Sluice will have
  api '/v1/audit_entries?limit=1' | sed 's/.*"seq":\([0-9]*\).*/\1/' | awk '{ print $1 + 1 }'
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
# a line of results. Sluice's processor time includes its later work for these requests, up to the checkpoint.
measure() {
  local line before next rate mb p50 p99 requests errors
  [ "$1" != sluice ] || next=$(next_entry)
  before=$(cpu "$1")
  line=$("${@:3}" | tail -n 1)
  read -r rate mb p50 p99 requests errors <<<"$line"
  [ "$errors" = 0 ] && [ "$mb $requests" != '0.0 0' ] || fail "$1, $2: not all requests were answered with success: $line"
  [ "$1" != sluice ] || check_log "$next" "$requests"
  awk -v what="$1 $2" -v figures="$rate $mb $p50 $p99" -v n="$requests" -v ticks=$(($(cpu "$1") - before)) -v hz="$(getconf CLK_TCK)" \
    'BEGIN { print what, figures, (n ? ticks / hz / n * 10000 : 0) }' | tee -a "$work/results" >&2
}

load_with_wrk() { # load_with_wrk CONNECTIONS URL
  wrk -t1 -c"$1" -d"${seconds}s" --timeout 60s -s "$here/downloads.lua" "$2"
}

medians() { # medians SIDE WHAT: over the rounds: requests/s, MB/s, p50, p99, and processor seconds for 10,000 requests
  local column
  for column in 3 4 5 6 7; do
    grep "^$1 $2 " "$work/results" | median "$column"
  done | xargs
}

ratio() { awk -v a="$1" -v b="$2" 'BEGIN { printf "%.2f", a / b }'; }

compare() {
  local round size side
  for ((round = 1; round <= rounds; round++)); do
    for size in "${sizes[@]}"; do
      for side in "${sides[@]}"; do
        measure "$side" "$size" load_with_wrk "${connections[$size]}" "${url[$side $size]}"
      done
    done
  done
  echo '| body | server | requests/s | MB/s | rate of nginx | must reach | p50 | p99 | p99 of nginx | CPU s for 10,000 |'
  echo '|---|---|---|---|---|---|---|---|---|---|'
  for size in "${sizes[@]}"; do
    for side in "${sides[@]}"; do
      print_row "$size" "$side"
    done
  done
}

print_row() { # print_row SIZE SIDE
  local rate mb p50 p99 cpu nginx_rate nginx_mb nginx_p99 must='' _
  read -r nginx_rate nginx_mb _ nginx_p99 _ <<<"$(medians nginx "$1")"
  read -r rate mb p50 p99 cpu <<<"$(medians "$2" "$1")"
  [ "$2" != sluice ] || must=${target[$1]}
  printf '| %s | %s |' "${body[$1]}" "${name[$2]}"
  if [ "${connections[$1]}" = 4 ]; then # few such downloads end while they are measured
    printf ' | %s | %s | %s | | | | |\n' "$mb" "$(ratio "$mb" "$nginx_mb")" "$must"
  else
    printf ' %s | %s | %s | %s | %s ms | %s ms | %s | %.2f |\n' "$rate" "$mb" "$(ratio "$rate" "$nginx_rate")" "$must" \
      "$p50" "$p99" "$(ratio "$p99" "$nginx_p99")" "$cpu"
  fi
}

# bench/ask sends the three requests of this table, because wrk cannot send HEAD.
without_body() {
  local round what etag get_rate rate mb p50 p99 cpu _ ask=("$work/ask" -duration "${seconds}s") at=${url[sluice 4096]}
  etag=$(curl -fsSI "$at" | tr -d '\r' | sed -n 's/^etag: //Ip')
  for ((round = 1; round <= rounds; round++)); do
    measure sluice GET "${ask[@]}" "$at"
    measure sluice HEAD "${ask[@]}" -method HEAD "$at"
    measure sluice 304 "${ask[@]}" -status 304 -header "If-None-Match: $etag" "$at"
  done
  echo '| Sluice, 4 KiB | requests/s | rate of GET | must reach | p50 | p99 | CPU s for 10,000 |'
  echo '|---|---|---|---|---|---|---|'
  read -r get_rate _ <<<"$(medians sluice GET)"
  for what in GET HEAD 304; do
    read -r rate mb p50 p99 cpu <<<"$(medians sluice $what)"
    printf '| %s | %s | %s | %s | %s ms | %s ms | %.2f |\n' "$what" "$rate" "$(ratio "$rate" "$get_rate")" \
      "$([ $what = GET ] || echo 1)" "$p50" "$p99" "$cpu"
  done
}

sync_time() { # milliseconds that a write of 4 KiB takes until it is on the disk, the mean of 200
  LC_ALL=C dd if=/dev/zero of="$work/synced" bs=4k count=200 oflag=dsync 2>&1 |
    sed -n 's/.*copied, \([0-9.e-]*\) s,.*/\1/p' | awk '{ printf "%.2f", $1 / 200 * 1000 }'
}

print_where() {
  local gateway=
  [ ! -x "$work/versitygw" ] || gateway="versitygw $(awk '$1 == "github.com/versity/versitygw" { print $2 }' "$root/tools/versitygw/go.mod"); "
  echo "$rounds rounds of $seconds s; $(nproc) processors, load average $(cut -d' ' -f1 /proc/loadavg); $(uname -sr); $(go version | cut -d' ' -f3);" \
    "nginx $(nginx -v 2>&1 | sed 's/.*\///'); wrk $(wrk -v 2>&1 | sed -n '1s,^wrk \(debian/\)*\([^ ]*\).*,\2,p'); $gateway$(git -C "$root" rev-parse --short HEAD 2>/dev/null || echo 'no commit');" \
    "$(df --output=fstype "$work" | tail -n 1), one synced write $(sync_time) ms"
}

build
files
start_nginx
start_bare
start_versitygw
start_sluice
same_bytes
print_where
echo
compare
echo
without_body
