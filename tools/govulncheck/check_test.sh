#!/usr/bin/env bash
# Tests check.sh with a database in which one function of the standard library is vulnerable.
set -euo pipefail
cd "$(dirname "$0")"
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT

mkdir -p "$dir/db/index" "$dir/db/ID" "$dir/calls" "$dir/imports"
date=2026-01-01T00:00:00Z
echo "{\"modified\": \"$date\"}" >"$dir/db/index/db.json"
cat >"$dir/db/index/modules.json" <<END
[{"path": "stdlib", "vulns": [{"id": "GO-2026-0001", "modified": "$date"}]}]
END
cat >"$dir/db/ID/GO-2026-0001.json" <<END
{"schema_version": "1.3.1", "id": "GO-2026-0001", "modified": "$date", "published": "$date",
 "summary": "made up for a test", "details": "made up for a test",
 "affected": [{"package": {"name": "stdlib", "ecosystem": "Go"},
   "ranges": [{"type": "SEMVER", "events": [{"introduced": "0"}]}],
   "ecosystem_specific": {"imports": [{"path": "strings", "symbols": ["ToUpper"]}]}}]}
END
for program in calls:ToUpper imports:ToLower; do
  name=${program%:*}
  printf 'module example.com/%s\n\ngo 1.26\n' "$name" >"$dir/$name/go.mod"
  printf 'package main\n\nimport "strings"\n\nfunc main() { println(strings.%s("a")) }\n' "${program#*:}" >"$dir/$name/main.go"
done

expect() { # expect SUCCESS|FAILURE TEXT DATABASE FOLDER
  local result=SUCCESS
  ./check.sh "$3" "$4" >"$dir/out" 2>&1 || result=FAILURE
  [ "$result" = "$1" ] && grep -qF "$2" "$dir/out" && return
  echo "check.sh $3 $4: want $1 and \"$2\", got $result and:"
  cat "$dir/out"
  exit 1
}
expect FAILURE GO-2026-0001 "file://$dir/db" "$dir/calls"
expect SUCCESS 'Your code is affected by 0 vulnerabilities' "file://$dir/db" "$dir/imports"
expect SUCCESS 'nothing was checked' "file://$dir/none" "$dir/calls"
expect SUCCESS 'nothing was checked' http://127.0.0.1:1 "$dir/calls"
