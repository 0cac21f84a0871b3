#!/usr/bin/env bash
# Checks everything: formatting, vet, staticcheck, known vulnerabilities, build, the OpenAPI document, and the tests under
# the race detector.
# As root on Debian or Ubuntu it installs what is missing; anywhere else it names it and stops.
#
#   ./test.sh         everything; what continuous integration runs
#   ./test.sh fast    what to run at each change, in under three minutes on two quiet cores: no race detector, no
#                     S3 server, browser or vendors' clients, and none of the tests that kill processes or wait
set -euo pipefail
cd "$(dirname "$0")"
case ${1:-all} in
  all | fast) ;;
  *) echo "usage: ./test.sh [fast]" >&2; exit 2 ;;
esac

# The Go to use where there is none, or one older than go.mod asks for: the module golang.org/toolchain,
# fetched by Debian's own Go and held to the checksum database like every other module.
toolchain=go1.26.8
cache=${XDG_CACHE_HOME:-$HOME/.cache}/sluice

# What must be present: a Debian package | a command that succeeds where it, or its like, is installed.
packages=(
  'ca-certificates | ls /etc/ssl/certs/*.crt || ls /etc/ssl/cert.pem'    # modules come over TLS
  'gcc             | command -v cc'                                      # the race detector links C,
  'libc6-dev       | echo "#include <stdlib.h>" | cc -E -'               # with its headers
  'curl            | command -v curl'                                    # the lines that serve prints are pasted
  'wget            | command -v wget'                                    # downloads are resumed
  'nodejs          | command -v node'                                    # samples of seeds are run, in JavaScript
  'python3-requests | python3 -c "import requests"'                      # and in Python
  'chromium        | command -v chromium'                                # links are opened in it
  'postgresql      | command -v initdb || ls /usr/lib/postgresql/*/bin/initdb' # a server of its own for each test process
  'nginx-light     | command -v nginx || ls /usr/sbin/nginx'             # in front of three servers
  'sqlite3         | command -v sqlite3'                                 # the operator's commands are run,
  'jq              | command -v jq'                                      # these two among them
  'golang-go       | command -v go || ls "$cache/$toolchain/bin/go"'     # any Go can fetch the one above
)

# What only the lint of the OpenAPI document and the clients of vendors for Node need. Where it is missing and cannot be
# installed, those parts are skipped; under CI=true they fail.
npm_packages=(
  'nodejs          | command -v node'                                    # 18.17 or newer
  'npm             | command -v npm'
)

missing() { # missing ENTRY...: which of these packages are not there
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

new_enough() { # is the go on PATH at least the one go.mod asks for?
  local have want
  have=$(cd / && GOTOOLCHAIN=local go env GOVERSION 2>/dev/null) || return 1
  want=$(awk '$1 == "go" { print $2 }' go.mod)
  printf '%s\n' "$want" "${have#go}" | sort -V -C
}

fetch_toolchain() {
  local module file
  module=golang.org/toolchain@v0.0.1-$toolchain.$(cd / && go env GOHOSTOS)-$(cd / && go env GOHOSTARCH)
  echo "test.sh: no Go as new as go.mod asks for; fetching $module into $cache"
  (cd / && GOTOOLCHAIN=local GOFLAGS=-modcacherw GOMODCACHE=$cache/tmp go mod download "$module")
  # A module's zip keeps neither execute bits nor the go.mod of a nested module.
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

finish() { # finish WHAT: how long each part took, and one line of success
  echo
  printf '%-20s %5d s\n' "${times[@]}"
  echo "test.sh: $1 passed in $SECONDS s"
}

small() { # no file of a megabyte or more belongs in the repository
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

in_node() { # in_node FOLDER SCRIPT: install what the folder's lock names, and run a script of its package.json
  local absent
  absent=$(missing "${npm_packages[@]}")
  if [ -n "$absent" ]; then
    [ "${CI:-}" != true ] || { echo "missing: $absent"; return 1; }
    echo "test.sh: $1 is not run here, for want of $absent"
    return
  fi
  [ "$1/node_modules/.package-lock.json" -nt "$1/package-lock.json" ] ||
    npm --prefix "$1" ci --ignore-scripts --no-audit --no-fund --loglevel=error || return
  npm --prefix "$1" run --silent "$2"
}

alerts() { # the rules for Prometheus; the Debian package is unpacked, for installing it would start a server
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
      echo "test.sh: the alert rules are not tested here, for want of promtool"
      return
    fi
  fi
  "$promtool" test rules docs/monitoring/alerts_test.yml
}

# Every timeout leaves room for a machine that is many times slower: it ends what hangs, and measures nothing.

in_go() { # in_go FOLDER: vet and test a module of its own
  go vet -C "$1" ./... && go test -C "$1" -count=1 -timeout 20m ./...
}

large() { # what takes minutes under the race detector, and is left out of the tests there
  go test -count=1 -timeout 30m ./internal/store && go test -count=1 -timeout 20m -run '^(TestGiB|TestFlatMemory)$' ./internal/httpd ./internal/blob
}

# What the fast part leaves out: tests that need an S3 server, build another program, kill processes, or wait.
slow='^(Test(S3|Gateway|Cluster|Crash|Migrate|Fsck|Witness|Anchor|CheckpointsGoOut|AuditDocs|Operating|Export|Redirect|RefusedStart|Samples|Slow|Stalled|Abuse|Stress|FlatMemory|GiB|PostgresKill|PostgresRestart|PostgresFrozen|SQLiteKill|NoRedemptionAfterTheEnd).*)$'

install_packages
if ! new_enough; then
  [ -d "$cache/$toolchain" ] || fetch_toolchain
  PATH=$cache/$toolchain/bin:$PATH
  unset GOROOT
fi
export GOTOOLCHAIN=local CGO_ENABLED=1
# A checkout that belongs to another user, or a machine without git, is no reason to fail.
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
part s3-server go build -C tools/versitygw -o /dev/null github.com/versity/versitygw/cmd/versitygw # minutes, the first time
part large large
part stripe-go in_go tests/clients/stripe-go
part stripe-node in_node tests/clients/stripe-node test
part metorial-node in_node tests/clients/metorial-node test
part merkle-and-browser in_go tests
part rehome in_go tools/rehome # builds the product once more, under another path
# Half of the time of these packages is waiting: for disks, processes and clocks.
part tests go test -race -short -count=1 -timeout 60m -p $((2 * $(nproc))) ./...
finish everything
