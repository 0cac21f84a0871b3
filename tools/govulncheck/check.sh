#!/usr/bin/env bash
# Fails when a Go module calls a function with a known vulnerability. Where the database cannot be reached within
# a minute, it says so and succeeds: a machine without network can run the rest of the tests.
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
