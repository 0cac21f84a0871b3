#!/usr/bin/env bash
# uploads.sh: measures the upload of one large file to Sluice as a form, beside a PUT of it to nginx, its SHA-256 by
# openssl, and a synced copy of it by dd. Prints a table in Markdown on standard output, and progress on standard error.
#
# BENCH_DATA is a folder on the disk to measure; the script removes its files at the end. BENCH_ROUNDS (5) is the number
# of rounds, and BENCH_UPLOAD_MIB (1024) the size of the file.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=bench/compare.sh
. "$here/compare.sh"
need nginx curl openssl go
mib=${BENCH_UPLOAD_MIB:-1024}

sides=(openssl dd nginx sluice)
declare -A name=([openssl]='openssl dgst -sha256' [dd]='dd conv=fsync' [nginx]='nginx, PUT' [sluice]='Sluice, form')

take() { # take SIDE: the side reads or stores the file
  case $1 in
    openssl) openssl dgst -sha256 "$work/file" >"$work/sum" ;;
    dd) dd if="$work/file" of="$work/copy" bs=1M conv=fsync status=none ;;
    nginx) curl -fsS -T "$work/file" "http://${at[nginx]}/put/file" ;;
    sluice) upload "$work/file" >"$work/id" ;;
  esac
}

same_bytes() { # every side that stores the file stores its bytes
  local side
  for side in dd nginx sluice; do
    take "$side"
  done
  cmp "$work/copy" "$work/file"
  cmp "$work/put/file" "$work/file"
  curl -fsS "$(mint "$(cat "$work/id")")" | cmp - "$work/file" || fail "Sluice does not give the file"
}

# measure SIDE: keeps a line of results: side, what, seconds, and processor seconds: of the server, not of curl, and of
# openssl and dd themselves. Nothing waits to be written to the disk at the start.
measure() {
  local before='' took user system TIMEFORMAT='%R %U %S'
  rm -f "$work/copy" "$work/put/file"
  sync -f "$work"
  [ -z "${process[$1]:-}" ] || before=$(cpu "$1")
  { time take "$1" 2>&3; } 3>&2 2>"$work/time"
  read -r took user system <"$work/time"
  if [ -n "$before" ]; then
    user=$(divide $(($(cpu "$1") - before)) "$(getconf CLK_TCK)") system=0
  fi
  awk -v side="$1" -v took="$took" -v user="$user" -v kernel="$system" \
    'BEGIN { print side, "upload", took, user + kernel }' | tee -a "$work/results" >&2
}

slower() { # the slower of openssl and dd, in seconds
  printf '%s\n' "$(medians openssl upload 3)" "$(medians dd upload 3)" | sort -g | tail -n 1
}

print_uploads() {
  local side took cpu must nginx_cpu
  nginx_cpu=$(medians nginx upload 4)
  echo "| $mib MiB | seconds | MB/s | rate of the slower of the first two | must be | processor seconds | of nginx |"
  echo '|---|---|---|---|---|---|---|'
  for side in "${sides[@]}"; do
    read -r took cpu < <(medians "$side" upload 3 4)
    [ "$side" = sluice ] && must='at least 0.8' || must=''
    echo "| ${name[$side]} | $took | $(divide $((mib * 1048576 / 1000000)) "$took" %.0f) |" \
      "$(divide "$(slower)" "$took") | $must | $cpu | $(divide "$cpu" "$nginx_cpu") |"
  done
}

say building
(cd "$root" && go build -o "$work/" ./cmd/sluice)
SLUICE=$work/sluice
head -c "${mib}M" /dev/urandom >"$work/file"
start_nginx
start_sluice sluice "$work/sluice-data"
use sluice
same_bytes
print_where "$rounds rounds of $mib MiB"
for ((round = 1; round <= rounds; round++)); do
  for side in "${sides[@]}"; do
    measure "$side"
  done
done
echo
print_uploads
