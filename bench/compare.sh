# shellcheck shell=bash
# Functions that downloads.sh and uploads.sh source: they start servers side by side, and measure each in turn. $here is
# this folder. Sides have short names; the arrays below say what belongs to each.
root=$(dirname "$here")
rounds=${BENCH_ROUNDS:-5}
say() { echo "$(basename "$0"): $*" >&2; }
fail() { say "$*"; exit 1; }

PATH=$PATH:/usr/sbin:/usr/local/go/bin
need() { # need TOOL...
  local tool absent=
  for tool; do
    command -v "$tool" >/dev/null || absent+=" $tool"
  done
  [ -z "$absent" ] || fail "missing:$absent." \
    "Debian: apt-get install nginx wrk curl openssl; Go 1.21 or newer from https://go.dev/dl"
}

work=$(mktemp -d -p "$(realpath "${BENCH_DATA:-${TMPDIR:-/tmp}}")")
# shellcheck source=bench/serve.sh
. "$here/serve.sh"
declare -A process=() # the process that answers, or whose children do
declare -A at=()      # host and port
declare -A secret=()  # the key, of a side that is Sluice

stop() {
  [ ${#process[@]} = 0 ] || kill "${process[@]}" 2>/dev/null || true
  wait
  rm -rf "$work"
}
trap stop EXIT
trap 'exit 1' INT TERM

await() { # await SIDE LOG: returns when the side listens
  until (exec 3<>"/dev/tcp/${at[$1]/://}") 2>/dev/null; do
    kill -0 "${process[$1]}" 2>/dev/null || { cat "$2" >&2; fail "$1 did not start"; }
    sleep 0.05
  done
}

start_sluice() { # start_sluice SIDE DIR [FLAG...]: with the key in DIR/bench-key, or that of a new folder
  address=127.0.0.1:$(free_port)
  start_server "${@:2}"
  process[$1]=$server at[$1]=$address
  secret[$1]=$(cat "$2/bench-key" 2>/dev/null || first_key "$2")
}

use() { # use SIDE: api, upload and mint then ask this side
  address=${at[$1]} key=${secret[$1]}
}

# nginx with a careful configuration: sendfile, tcp_nopush, and open files kept open (open_file_cache). Connections stay
# open as with the other servers: by default, nginx closes a connection after 1,000 requests. The side nginx_plain is
# the same process, and opens the file for each request. PUT stores a body in a file (client_body_in_file_only, which
# ngx_http_dav_module implies), without a sync.
nginx_secret=not-much-of-a-secret
start_nginx() {
  local user=
  at[nginx]=127.0.0.1:$(free_port)
  at[nginx_plain]=127.0.0.1:$(free_port)
  [ "$(id -u)" != 0 ] || user='user root;' # whose folder it is
  mkdir "$work/put"
  cat >"$work/nginx.files" <<END
location /files/ {
  root "$work";
  secure_link \$arg_md5,\$arg_expires;
  secure_link_md5 "\$secure_link_expires\$uri $nginx_secret";
  if (\$secure_link = "") { return 403; }
  if (\$secure_link = "0") { return 410; }
}
END
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
    listen ${at[nginx]};
    open_file_cache max=1000;
    include "$work/nginx.files";
    location /put/ {
      root "$work";
      client_max_body_size 0;
      client_body_buffer_size 1m;
      dav_methods PUT;
    }
  }
  server {
    listen ${at[nginx_plain]};
    include "$work/nginx.files";
  }
}
END
  nginx -e "$work/nginx.error" -p "$work" -c "$work/nginx.conf" &
  process[nginx]=$!
  process[nginx_plain]=$!
  await nginx "$work/nginx.error"
}

cpu() { # cpu SIDE: ticks of processor time that its process and the children of that have taken
  local id
  for id in "${process[$1]}" $(cat "/proc/${process[$1]}/task/${process[$1]}/children"); do
    sed 's/.*) //' "/proc/$id/stat"
  done | awk '{ ticks += $12 + $13 + $14 + $15 } END { print ticks }'
}

# medians SIDE WHAT COLUMN...: over the rounds in $work/results, whose lines begin with the side and what was measured
medians() {
  local column
  for column in "${@:3}"; do
    awk -v side="$1" -v what="$2" '$1 == side && $2 == what' "$work/results" | median "$column"
  done | xargs
}

divide() { # divide A B [FORMAT]
  awk -v a="$1" -v b="$2" -v format="${3:-%.2f}" 'BEGIN { printf format, b ? a / b : 0 }'
}

sync_time() { # milliseconds that a write of 4 KiB takes until it is on the disk, the mean of 200
  LC_ALL=C dd if=/dev/zero of="$work/synced" bs=4k count=200 oflag=dsync 2>&1 |
    sed -n 's/.*copied, \([0-9.e-]*\) s,.*/\1/p' | awk '{ printf "%.2f", $1 / 200 * 1000 }'
}

print_where() { # print_where WHAT: a line about this run and this machine
  local commit
  commit=$(git -C "$root" rev-parse --short HEAD 2>/dev/null || echo 'no commit')
  echo "$1; $(nproc) processors, load average $(cut -d' ' -f1 /proc/loadavg); $(uname -sr);" \
    "$(go version | cut -d' ' -f3); nginx $(nginx -v 2>&1 | sed 's/.*\///'); $commit;" \
    "$(df --output=fstype "$work" | tail -n 1), one synced write $(sync_time) ms;" \
    "TCP $(cat /proc/sys/net/ipv4/tcp_congestion_control)"
}
