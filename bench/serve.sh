# Functions for the scripts beside it, which source it.
# Needs the binary in $SLUICE; BENCH_SECONDS is how long each measurement takes.
address=127.0.0.1:${BENCH_PORT:-18080}
seconds=${BENCH_SECONDS:-10}
server=

start_server() { # start_server DIR: returns when it answers
  "$SLUICE" serve --data "$1" --listen "$address" --no-rate-limit >"$1.out" 2>"$1.log" &
  server=$!
  until curl -fs "http://$address/healthz" >/dev/null; do
    kill -0 "$server" 2>/dev/null || { cat "$1.log" >&2; exit 1; }
    sleep 0.01
  done
}

stop_server() {
  [ -z "$server" ] || { kill "$server" && wait "$server" || true; }
  server=
}
trap stop_server EXIT

# load CLIENTS METHOD PREFIX IDS [SUFFIX [BODY]] prints what requests.lua does.
# Answers that were no success end the script: such figures mean nothing.
load() {
  local line
  line=$(BENCH_METHOD=$2 BENCH_PREFIX=$3 BENCH_IDS=$4 BENCH_SUFFIX=${5:-} BENCH_KEY=$(cat "$data/bench-key") \
    env ${6:+"BENCH_BODY=$6"} wrk -t1 -c"$1" -d"${seconds}s" -s "$here/requests.lua" "http://$address" | tail -n 1)
  [ "${line##* }" = 0 ] || { echo "not all requests were answered with success: $line" >&2; exit 1; }
  echo "$line"
}

median() { # of a column of lines on stdin
  awk -v n="$1" '{ print $n }' | sort -g | awk '{ v[NR] = $1 } END { print v[int((NR + 1) / 2)] }'
}
