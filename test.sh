#!/usr/bin/env bash
# Runs all checks: formatting, vet, staticcheck, known vulnerabilities, build, the OpenAPI document, and the tests, all but
# those of the commands under the race detector.
# As root on Debian or Ubuntu it installs missing tools. Elsewhere it lists them and stops.
#
#   ./test.sh         all checks, as in continuous integration
#   ./test.sh fast    the checks to run after each change, in under three minutes on two idle cores: without the race
#                     detector, the S3 server, browsers, vendors' clients, and the tests that kill processes or wait
set -euo pipefail
cd "$(dirname "$0")"
case ${1:-all} in
  all | fast) ;;
  *) echo "usage: ./test.sh [fast]" >&2; exit 2 ;;
esac

# The Go to use if there is none, or one older than go.mod requires: the module golang.org/toolchain. Debian's own Go
# fetches it and verifies it with the checksum database, like every other module.
toolchain=go1.26.8
cache=${XDG_CACHE_HOME:-$HOME/.cache}/sluice

# Required tools: a Debian package | a command that succeeds if it, or a substitute, is installed.
packages=(
  'ca-certificates | ls /etc/ssl/certs/*.crt || ls /etc/ssl/cert.pem'    # Go modules are fetched over TLS
  'gcc             | command -v cc'                                      # the race detector links C,
  'libc6-dev       | echo "#include <stdlib.h>" | cc -E -'               # with its headers
  'curl            | command -v curl'                                    # for the commands that serve prints
  'wget            | command -v wget'                                    # for resumed downloads
  'nodejs          | command -v node'                                    # for the verifier and samples in JavaScript
  'python3-requests | python3 -c "import requests"'                      # and Python
  'chromium        | command -v chromium'                                # opens links
  'postgresql      | command -v initdb || ls /usr/lib/postgresql/*/bin/initdb' # runs a server for each test process
  'nginx-light     | command -v nginx || ls /usr/sbin/nginx'             # in front of three servers
  'sqlite3         | command -v sqlite3'                                 # for the operator's commands,
  'jq              | command -v jq'                                      # as is jq
  'golang-go       | command -v go || ls "$cache/$toolchain/bin/go"'     # any Go can fetch the one above
)

# Tools that only the lint of the OpenAPI document and the vendors' clients for Node need. If they are missing and cannot
# be installed, those parts are skipped; with CI=true they fail.
npm_packages=(
  'nodejs          | command -v node'                                    # 18.17 or newer
  'npm             | command -v npm'
)

missing() { # missing ENTRY...: prints the packages that are not installed
  local entry
  for entry; do
    (eval "${entry#*|}") >/dev/null 2>&1 || printf '%s ' "${entry%%[ |]*}"
  done
}

install_packages() {
  local absent
  if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    absent=$(missing "${packages[@]}" "${npm_packages[@]}")
    [ -n "$absent" ] || return 0
    echo "test.sh: installing $absent"
    apt-get -qq update
    DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends $absent </dev/null >/dev/null
    return
  fi
  absent=$(missing "${packages[@]}")
  [ -n "$absent" ] || return 0
  printf 'test.sh: %s is missing: install it as root (Debian, Ubuntu: apt-get install by that name)\n' $absent >&2
  exit 1
}

new_enough() { # whether the go on PATH is at least as new as go.mod requires
  local have want
  have=$(cd / && GOTOOLCHAIN=local go env GOVERSION 2>/dev/null) || return 1
  want=$(awk '$1 == "go" { print $2 }' go.mod)
  printf '%s\n' "$want" "${have#go}" | sort -V -C
}

fetch_toolchain() {
  local module file
  module=golang.org/toolchain@v0.0.1-$toolchain.$(cd / && go env GOHOSTOS)-$(cd / && go env GOHOSTARCH)
  echo "test.sh: no Go as new as go.mod requires; fetching $module into $cache"
  (cd / && GOTOOLCHAIN=local GOFLAGS=-modcacherw GOMODCACHE=$cache/tmp go mod download "$module")
  # The zip of a module has no execute bits, and lacks the go.mod of nested modules.
  chmod +x "$cache/tmp/$module"/bin/* "$cache/tmp/$module"/pkg/tool/*/*
  find "$cache/tmp/$module" -name _go.mod | while read -r file; do mv "$file" "${file%_go.mod}go.mod"; done
  mv "$cache/tmp/$module" "$cache/$toolchain"
  rm -rf "$cache/tmp"
}

times=()

part() { # part NAME COMMAND...
  local name=$1 start=$SECONDS
  shift
  echo "test.sh: $name"
  "$@" || { echo "test.sh: $name failed after $((SECONDS - start)) s" >&2; exit 1; }
  echo "test.sh: $name took $((SECONDS - start)) s"
  times+=("$name" $((SECONDS - start)))
}

finish() { # finish WHAT: prints the duration of each part, and a line of success
  echo
  printf '%-20s %5d s\n' "${times[@]}"
  echo "test.sh: $1 passed in $SECONDS s"
}

small() { # refuses committed files of 1 MiB or more
  local file size large=
  while IFS= read -r -d '' file; do
    [ -f "$file" ] && [ ! -L "$file" ] || continue
    size=$(wc -c <"$file")
    [ "$size" -le 1048576 ] || large="$large $file"
  done < <(git ls-files -z --cached --others --exclude-standard)
  [ -z "$large" ] || { echo "larger than 1 MiB:$large"; return 1; }
}

formatted() {
  local files
  files=$(find . -name node_modules -prune -o -name '*.go' -print0 | xargs -0 gofmt -l) || return
  [ -z "$files" ] || { echo "gofmt would change:" $files; return 1; }
}

in_node() { # in_node FOLDER SCRIPT: installs the packages in the folder's lock, and runs a script of its package.json
  local absent
  absent=$(missing "${npm_packages[@]}")
  if [ -n "$absent" ]; then
    [ "${CI:-}" != true ] || { echo "missing: $absent"; return 1; }
    echo "test.sh: $1 is skipped, because these tools are missing: $absent"
    return
  fi
  [ "$1/node_modules/.package-lock.json" -nt "$1/package-lock.json" ] ||
    npm --prefix "$1" ci --ignore-scripts --no-audit --no-fund --loglevel=error || return
  npm --prefix "$1" run --silent "$2"
}

alerts() { # tests the rules for Prometheus; the Debian package is only unpacked, because installing it would start a server
  local promtool=promtool
  if ! command -v promtool >/dev/null; then
    promtool=$cache/prometheus/usr/bin/promtool
    if [ ! -x "$promtool" ] && command -v apt-get >/dev/null; then
      mkdir -p "$cache/prometheus"
      (cd "$cache/prometheus" && { apt-get -qq download prometheus || { apt-get -qq update && apt-get -qq download prometheus; }; } &&
        dpkg -x prometheus_*.deb . && rm prometheus_*.deb) 2>/dev/null
    fi
    if [ ! -x "$promtool" ]; then
      [ "${CI:-}" != true ] || { echo "missing: promtool"; return 1; }
      echo "test.sh: the alert rules are not tested, because promtool is missing"
      return
    fi
  fi
  "$promtool" test rules docs/monitoring/alerts_test.yml
}

# The timeouts only end tests that hang. They leave room for a machine that is many times slower.

in_go() { # in_go FOLDER: vets and tests a separate module
  go vet -C "$1" ./... && go test -C "$1" -count=1 -timeout 20m ./...
}

large() { # tests that take minutes under the race detector, and are skipped there
  go test -count=1 -timeout 30m -run '^Test(SQLite|Postgres|SQLiteKill|PostgresKill|FlippedBytes|Continues)$' ./internal/store/... &&
    go test -count=1 -timeout 20m -run '^(TestGiB|TestFlatMemory|TestFaults)$' ./internal/httpd ./internal/blob
}

# The race detector watches all code but SQLite's engine and its C library. They are C translated to Go, whose memory lies
# outside of Go's heap, where the detector does not look, and watching them takes more than half of the tests' processor
# time. The driver is watched: it copies between their memory and ours.
race=(-race)
for engine in modernc.org/sqlite/lib modernc.org/libc/... modernc.org/memory; do
  race+=("-gcflags=$engine=-race=false")
done

# The tests of the commands run processes, and wait for them, so they run beside the others. What these processes do has
# the tests of the packages, which run under the race detector.
tests() {
  local commands failed=
  go test -count=1 -timeout 60m ./cmd/sluice &
  commands=$!
  go test "${race[@]}" -short -count=1 -timeout 60m $(go list ./... | grep -v '/cmd/sluice$') || failed=1
  wait "$commands" || failed=1
  [ -z "$failed" ]
}

# Tests that the fast part skips: they need an S3 server, build another program, kill processes, or wait.
slow='^(Test(S3|Gateway|Cluster|Crash|Migrate|Fsck|Witness|Anchor|CheckpointsSentOut|Faults|AuditDocs|Operating|Export|Redirect|RefusedStart|Samples|Slow|Stalled|Abuse|Stress|FlatMemory|GiB|PostgresKill|PostgresRestart|PostgresFrozen|SQLiteKill|NoRedemptionAfterTheEnd).*)$'

install_packages
if ! new_enough; then
  [ -d "$cache/$toolchain" ] || fetch_toolchain
  PATH=$cache/$toolchain/bin:$PATH
  unset GOROOT
fi
export GOTOOLCHAIN=local CGO_ENABLED=1
# A checkout of another user, or a machine without git, must not fail.
export GOFLAGS="-buildvcs=false ${GOFLAGS:-}"

part size small
part gofmt formatted
part vet go vet ./...
if [ "${1:-all}" = fast ]; then
  part fast go test -short -count=1 -timeout 20m -skip "$slow" ./...
  finish 'the fast part'
  exit
fi
part alerts alerts
part staticcheck go tool staticcheck ./...
part govulncheck-test tools/govulncheck/check_test.sh
part govulncheck tools/govulncheck/check.sh
part build go build ./...
part lint in_node tools/openapi-lint lint
part fsck-tool go build -C tools/fsck -o /dev/null github.com/transparency-dev/tessera/cmd/fsck
part s3-server go build -C tools/versitygw -o /dev/null github.com/versity/versitygw/cmd/versitygw # takes minutes the first time
part mail-server go build -C tools/mailpit -o /dev/null github.com/axllent/mailpit
part oidc-provider go build -C tools/oidc -o /dev/null .
part large large
part stripe-go in_go tests/clients/stripe-go
part stripe-node in_node tests/clients/stripe-node test
part metorial-node in_node tests/clients/metorial-node test
part axe in_node tests/axe present
part merkle-and-browser in_go tests
part rehome in_go tools/rehome # builds Sluice again, under another path
part tests tests
finish everything
