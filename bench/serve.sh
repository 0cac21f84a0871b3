# Functions that the other scripts source.
# $SLUICE is the binary, and BENCH_SECONDS the duration of each measurement.
address=127.0.0.1:${BENCH_PORT:-18080}
seconds=${BENCH_SECONDS:-10}
server=

start_server() { # start_server DIR [FLAG...]: returns when it answers
  "$SLUICE" serve --data "$1" --listen "$address" --no-rate-limit "${@:2}" >"$1.out" 2>"$1.log" &
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

# load CLIENTS METHOD PREFIX IDS [SUFFIX [BODY]] prints a line in the format of requests.lua.
# A response without success ends the script, because the figures would be meaningless.
load() {
  local line
  line=$(BENCH_METHOD=$2 BENCH_PREFIX=$3 BENCH_IDS=$4 BENCH_SUFFIX=${5:-} BENCH_KEY=$(cat "$data/bench-key") \
    env ${6:+"BENCH_BODY=$6"} wrk -t1 -c"$1" -d"${seconds}s" -s "$here/requests.lua" "http://$address" | tail -n 1)
  [ "${line##* }" = 0 ] || { echo "some requests failed: $line" >&2; exit 1; }
  echo "$line"
}

median() { # of a column of lines on stdin
  awk -v n="$1" '{ print $n }' | sort -g | awk '{ v[NR] = $1 } END { print v[int((NR + 1) / 2)] }'
}

free_port() { # a port of this machine that nothing listens on
  local port
  while port=$((20000 + RANDOM % 10000)); (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; do :; done
  echo "$port"
}

first_key() { # first_key DIR: what the server printed when it was first started on an empty folder
  sed -n 's/^ *KEY=//p' "$1.out"
}

api() { # api PATH [CURL-OPTION...]: sends a request with $key
  curl -fsS -H "Authorization: Bearer $key" "http://$address$1" "${@:2}"
}

upload() { # upload FILE: prints the id
  api /v1/files -F purpose=generic -F "file=@$1" | sed 's/.*"id":"\(file_[0-9a-z]*\)".*/\1/'
}

mint() { # mint ID: prints the URL of a link to a file
  api "/v1/files/$1/links" -X POST -H 'Content-Type: application/json' -d '{"expires_in_seconds":86400}' |
    sed 's/.*"url":"\([^"]*\)".*/\1/'
}
