#!/usr/bin/env bash
# cluster.sh: measures redemptions and mints a second of 1, 2 and 3 processes on one PostgreSQL and one S3 server, and of
# pgbench on that PostgreSQL with one transaction for each mint. Prints a table in Markdown on standard output, and
# progress on standard error.
#
# BENCH_DATA is a folder on the disk to measure; the script removes its files at the end. BENCH_ROUNDS (3) and
# BENCH_SECONDS (5) are rounds and seconds of each measurement, and BENCH_CLIENTS (48) the clients of all processes.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
root=$(dirname "$here")
rounds=${BENCH_ROUNDS:-3} clients=${BENCH_CLIENTS:-48}
export BENCH_SECONDS=${BENCH_SECONDS:-5}
say() { echo "cluster.sh: $*" >&2; }
fail() { say "$*"; exit 1; }

PATH=$PATH:/usr/local/go/bin:$(ls -d /usr/lib/postgresql/*/bin 2>/dev/null | sort -V | tail -n 1)
absent=
for tool in wrk curl go initdb pgbench; do
  command -v "$tool" >/dev/null || absent+=" $tool"
done
[ -z "$absent" ] || fail "missing:$absent. Debian: apt-get install wrk curl postgresql; Go 1.21 or newer from https://go.dev/dl"

work=$(mktemp -d -p "$(realpath "${BENCH_DATA:-${TMPDIR:-/tmp}}")")
. "$here/serve.sh"
servers=() addresses=() gateway= postgres=
stop_servers() {
  [ ${#servers[@]} = 0 ] || { kill "${servers[@]}"; wait "${servers[@]}" || true; }
  servers=() addresses=()
}
stop() {
  stop_servers
  [ -z "$gateway" ] || kill "$gateway" || true
  [ -z "$postgres" ] || kill -INT "$postgres" || true
  wait
  rm -rf "$work"
}
trap stop EXIT
trap 'exit 1' INT TERM

# PostgreSQL refuses to run as root.
as_postgres=()
[ "$(id -u)" != 0 ] || as_postgres=(setpriv --reuid=postgres --regid=postgres --clear-groups)

start_postgres() {
  mkdir "$work/pg"
  [ "$(id -u)" != 0 ] || { chmod 711 "$work" && chown postgres "$work/pg"; }
  cd "$work/pg"
  "${as_postgres[@]}" initdb --pgdata=data --username=sluice --auth=trust --encoding=UTF8 --locale=C >initdb.log
  "${as_postgres[@]}" postgres -D data -k "$work/pg" -c listen_addresses= -c max_connections=200 -c shared_buffers=256MB >log 2>&1 &
  postgres=$!
  export PGHOST=$work/pg PGUSER=sluice
  until pg_isready --quiet; do
    kill -0 "$postgres" 2>/dev/null || fail "PostgreSQL does not start: $(tail -n 3 log)"
    sleep 0.1
  done
  createdb sluice
}

start_gateway() {
  local at
  at=127.0.0.1:$(free_port)
  mkdir -p "$work/s3/files" "$work/attributes"
  export AWS_ACCESS_KEY_ID=bench AWS_SECRET_ACCESS_KEY=not-much-of-a-secret
  ROOT_ACCESS_KEY=$AWS_ACCESS_KEY_ID ROOT_SECRET_KEY=$AWS_SECRET_ACCESS_KEY \
    "$work/versitygw" --port "$at" --region us-east-1 --quiet --keep-alive posix --sidecar "$work/attributes" "$work/s3" >"$work/versitygw.log" 2>&1 &
  gateway=$!
  until (exec 3<>"/dev/tcp/${at%:*}/${at#*:}") 2>/dev/null; do
    kill -0 "$gateway" 2>/dev/null || fail "versitygw does not start: $(tail -n 3 "$work/versitygw.log")"
    sleep 0.1
  done
  bucket="s3://files/bench?region=us-east-1&endpoint=http://$at&path_style=true"
}

start_servers() { # start_servers N
  local n at
  for n in $(seq "$1"); do
    at=127.0.0.1:$(free_port)
    "$SLUICE" serve --database-url "postgres:///sluice?host=$work/pg&user=sluice" --blob-url "$bucket" --secrets "$work/secrets.json" \
      --listen "$at" --public-url http://bench.test --no-rate-limit >>"$work/serve.out" 2>>"$work/serve.log" &
    servers+=($!)
    addresses+=("$at")
    until curl -fs "http://$at/readyz" >/dev/null; do
      kill -0 "${servers[-1]}" 2>/dev/null || fail "$(tail -n 3 "$work/serve.log")"
      sleep 0.05
    done
  done
}

prepare() {
  local id
  start_servers 1
  address=${addresses[0]} key=$(first_key "$work/serve")
  mkdir "$work/ids"
  echo "$key" >"$work/ids/bench-key"
  head -c 4096 /dev/urandom >"$work/file"
  for _ in $(seq 200); do
    id=$(upload "$work/file")
    echo "$id" >>"$work/ids/files"
    mint "$id" | sed 's,.*/l/,,' >>"$work/ids/links"
  done
  stop_servers
}

# together METHOD PREFIX IDS [SUFFIX BODY]: prints the sum of the requests a second of all processes.
together() {
  local at outputs=() loads=()
  data=$work/ids
  for at in "${addresses[@]}"; do
    outputs+=("$work/load-$at")
    (trap - EXIT; address=$at; load $((clients / ${#addresses[@]})) "$@" >"$work/load-$at") &
    loads+=($!)
  done
  for at in "${loads[@]}"; do
    wait "$at" || exit 1
  done
  cat "${outputs[@]}" | awk '{ n += $1 } END { printf "%.0f\n", n }'
}

# A mint in its own transaction: it takes the position in the log, reads the key and the file, and writes a link and an
# entry as large as those of Sluice.
write_transaction() {
  local leaf disclosures file
  read -r leaf disclosures < <(psql -AtF ' ' -d sluice -c "SELECT (sum(octet_length(leaves)) / n)::int, (sum(octet_length(disclosures)) / n)::int FROM batch, (SELECT sum(next) AS n FROM ledger) AS entries GROUP BY n")
  file=$(head -n 1 "$work/ids/files")
  cat >"$work/mint.sql" <<END
\\set id random(1, 9000000000000000)
BEGIN;
SELECT next AS seq, id AS ledger FROM ledger WHERE mode = 'test' FOR UPDATE \\gset
SELECT id, revoked FROM key WHERE ledger = :ledger;
SELECT id, size, sha256, filename FROM file WHERE id = '$file';
INSERT INTO link (ledger, id, file_id, key_id, signing_key, reason, metadata, created, updated, expires, ended, downloads, max_downloads, password, allowed_ips, disposition, filename)
  VALUES (:ledger, 'link_' || lpad(:id::text, 26, '0'), '$file', 'key', 'signing', '', '{"case":"4711"}', :seq, :seq, :seq, '', 0, 0, '', '', 'attachment', '');
INSERT INTO batch (ledger, first, time, leaves, disclosures)
  VALUES (:ledger, :seq, :seq, convert_to(repeat('l', $leaf), 'UTF8'), convert_to(repeat('d', $disclosures), 'UTF8'));
UPDATE ledger SET next = :seq + 1 WHERE id = :ledger;
COMMIT;
END
  # The same without an order: no transaction waits for another.
  sed -e '/^SELECT next/s/.*/SELECT :id AS seq, id AS ledger FROM ledger WHERE mode = '"'test'"' \\gset/' -e '/^UPDATE/d' "$work/mint.sql" >"$work/unordered.sql"
}

pgbench_mints() { # pgbench_mints SCRIPT: transactions a second, on a copy of the database
  dropdb --if-exists copy 2>/dev/null
  createdb --template=sluice copy
  pgbench -n -M prepared -c "$clients" -j 2 -T "$BENCH_SECONDS" -f "$work/$1.sql" copy 2>"$work/pgbench.log" |
    awk '/^number of failed transactions/ && $5 != 0 { exit 1 } /^tps/ { printf "%.0f\n", $3 }'
}

say building
(cd "$root" && go build -o "$work/sluice" ./cmd/sluice)
go build -C "$root/tools/versitygw" -o "$work/versitygw" github.com/versity/versitygw/cmd/versitygw
SLUICE=$work/sluice
say "starting PostgreSQL and versitygw"
start_postgres
start_gateway
prepare
write_transaction

declare -A redeemed=() minted=()
transactions= unordered=
for round in $(seq "$rounds"); do
  for n in 1 2 3; do
    start_servers "$n"
    together GET /l/ "$work/ids/links" >/dev/null # fills the caches
    redeemed[$n]+=$(together GET /l/ "$work/ids/links")$'\n'
    minted[$n]+=$(together POST /v1/files/ "$work/ids/files" /links '{"expires_in_seconds":3600,"metadata":{"case":"4711"}}')$'\n'
    stop_servers
    say "round $round, $n: redemptions $(printf %s "${redeemed[$n]}" | tail -n 1)/s, mints $(printf %s "${minted[$n]}" | tail -n 1)/s"
  done
  transactions+=$(pgbench_mints mint)$'\n'
  unordered+=$(pgbench_mints unordered)$'\n'
  say "round $round, pgbench: $(printf %s "$transactions" | tail -n 1)/s, and $(printf %s "$unordered" | tail -n 1)/s without an order"
done

plain=$(printf %s "$transactions" | median 1)
echo "$clients clients; $rounds rounds of $BENCH_SECONDS s; $(nproc) processors, load average $(cut -d' ' -f1 /proc/loadavg); $(pg_config --version); $(go version | cut -d' ' -f3); $(git -C "$root" rev-parse --short HEAD 2>/dev/null || echo 'no commit')"
echo
echo '| | redemptions of 4 KiB | mints | mints, of pgbench |'
echo '|---|---|---|---|'
for n in 1 2 3; do
  rate=$(printf %s "${minted[$n]}" | median 1)
  echo "| $n of Sluice | $(printf %s "${redeemed[$n]}" | median 1)/s | $rate/s | $(awk "BEGIN { printf \"%.2f\", $rate / $plain }") |"
done
echo "| pgbench, a transaction for each mint | | $plain/s | 1 |"
echo "| pgbench, without an order | | $(printf %s "$unordered" | median 1)/s | $(awk "BEGIN { printf \"%.2f\", $(printf %s "$unordered" | median 1) / $plain }") |"
