#!/usr/bin/env bash
# run.sh [LINKS]: measures filling, lists, objects, startup and minting as described in README.md. Prints tables in
# Markdown on standard output, and progress on standard error.
#
# BENCH_DATA is a folder on the disk to measure, which keeps the filled data for the next run. Without it, a temporary
# folder is used and removed. Ten million links need about 30 GB. BENCH_SECONDS (10) and BENCH_RUNS (100) are the
# duration and the number of measurements.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
links=${1:-10000000} few=10000
root=$(dirname "$here")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
data=${BENCH_DATA:-$work}
say() { echo "run.sh: $*" >&2; }

for tool in wrk curl go; do
  command -v "$tool" >/dev/null || { say "$tool is missing"; exit 1; }
done
say building
(cd "$root" && go build -o "$work/" ./cmd/sluice ./bench/fill ./bench/lists)
export SLUICE=$work/sluice

begin() { # begin DIR: what sluice serve makes in an empty folder
  (here=$here; . "$here/serve.sh"; mkdir -p "$(dirname "$1")"; start_server "$1"; stop_server)
}

fill() { # fill DIR LINKS FILES: prints a row, also of a folder that was filled before
  if [ ! -e "$1/bench-filled" ]; then
    rm -rf "$1"
    begin "$1"
    say "filling $1 with $2 links"
    "$work/fill" -data "$1" -links "$2" -files "$3" >"$work/filled"
    mv "$work/filled" "$1/bench-filled"
  fi
  cat "$1/bench-filled"
}

start_time() { # start_time DIR: milliseconds from the start of the binary to its first answer, the median of five
  for _ in 1 2 3 4 5; do
    (here=$here; . "$here/serve.sh"; s=$(date +%s%N); start_server "$1"; echo $((($(date +%s%N) - s) / 1000000)); stop_server)
  done | sort -g | sed -n 3p
}

small=$data/links-$few large=$data/links-$links
echo "$links links; $(nproc) processors; $(go version | cut -d' ' -f3); $(uname -sr); $(git -C "$root" rev-parse --short HEAD 2>/dev/null || echo 'no commit')"
echo
echo '### Filling'
echo
echo '| records | time | rate | on disk |'
echo '|---|---|---|---|'
fill "$small" "$few" 10000
fill "$large" "$links" 100000
echo
echo '### Lists'
echo
say lists
"$work/lists" -small "$small" -large "$large" -runs "${BENCH_RUNS:-100}"
echo
echo '### One object'
echo
echo '| what | links | clients | p50 | p99 | rate |'
echo '|---|---|---|---|---|---|'
"$here/get.sh" "$small" "$few"
"$here/get.sh" "$large" "$links"
echo
echo '### Start'
echo
echo '| links | first answer after |'
echo '|---|---|'
echo "| $few | $(start_time "$small") ms |"
echo "| $links | $(start_time "$large") ms |"
echo
echo '### Minting'
echo
echo '| links before | 1 client | 32 clients | ratio | p50 at 32 | p99 at 32 |'
echo '|---|---|---|---|---|---|'
# Minting changes the folders. The small one is filled again, the large one grows a little.
fill "$work/mint" "$few" 10000 >/dev/null
"$here/mint.sh" "$work/mint" "$few"
"$here/mint.sh" "$large" "$links"
