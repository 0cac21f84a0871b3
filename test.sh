#!/usr/bin/env bash
# Checks everything: formatting, vet, staticcheck, build, and the tests under the race detector.
# As root on Debian or Ubuntu it installs what is missing; anywhere else it names it and stops.
set -euo pipefail
cd "$(dirname "$0")"

# The Go to use where there is none, or one older than go.mod asks for: the module golang.org/toolchain,
# fetched by Debian's own Go and held to the checksum database like every other module.
toolchain=go1.26.8
cache=${XDG_CACHE_HOME:-$HOME/.cache}/sluice

# What must be present: a Debian package | a command that succeeds where it, or its like, is installed.
packages=(
  'ca-certificates | ls /etc/ssl/certs/*.crt || ls /etc/ssl/cert.pem'    # modules come over TLS
  'gcc             | command -v cc'                                      # the race detector links C,
  'libc6-dev       | echo "#include <stdlib.h>" | cc -E -'               # with its headers
  'golang-go       | command -v go || ls "$cache/$toolchain/bin/go"'     # any Go can fetch the one above
)

install_packages() {
  local entry missing=''
  for entry in "${packages[@]}"; do
    (eval "${entry#*|}") >/dev/null 2>&1 || missing+=" ${entry%%[ |]*}"
  done
  [ -n "$missing" ] || return 0

  if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
    printf 'test.sh: %s is missing: install it as root (Debian, Ubuntu: apt-get install by that name)\n' $missing >&2
    exit 1
  fi
  echo "test.sh: installing$missing"
  apt-get -qq update
  DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends $missing </dev/null >/dev/null
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

part() { # part NAME COMMAND...
  local name=$1 start=$SECONDS
  shift
  echo "test.sh: $name"
  "$@" || { echo "test.sh: $name failed after $((SECONDS - start)) s" >&2; exit 1; }
  echo "test.sh: $name took $((SECONDS - start)) s"
}

formatted() {
  local files
  files=$(gofmt -l .) || return
  [ -z "$files" ] || { echo "gofmt would change:" $files; return 1; }
}

install_packages
if ! new_enough; then
  [ -d "$cache/$toolchain" ] || fetch_toolchain
  PATH=$cache/$toolchain/bin:$PATH
  unset GOROOT
fi
export GOTOOLCHAIN=local CGO_ENABLED=1
# A checkout that belongs to another user, or a machine without git, is no reason to fail.
export GOFLAGS="-buildvcs=false ${GOFLAGS:-}"

part gofmt formatted
part vet go vet ./...
part staticcheck go tool staticcheck ./...
part build go build ./...
part fsck-tool go build -C tools/fsck -o /dev/null github.com/transparency-dev/tessera/cmd/fsck
part fsck go test -count=1 -timeout 3m -run '^TestFsck$' ./store # fills a log too large for the race detector
part tests go test -race -count=1 -timeout 8m ./...
