#!/usr/bin/env bash
# Fails if a Go module calls a function with a known vulnerability. If the database cannot be reached within a minute,
# it reports that and succeeds, so that a machine without network can run the other tests.
#
#   tools/govulncheck/check.sh [DATABASE [FOLDER]]
set -euo pipefail
tool=$(cd "$(dirname "$0")" && pwd)
database=${1:-https://vuln.go.dev}
folder=$(cd "${2:-$tool/../..}" && pwd)

if ! why=$(curl -fsSL --max-time 60 -o /dev/null "$database/index/db.json" 2>&1); then
  echo "govulncheck: nothing was checked, because the vulnerability database $database cannot be reached: $why"
  exit
fi
go tool -C "$tool" govulncheck -db "$database" -C "$folder" ./...
