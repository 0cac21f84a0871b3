# Upload a file, and keep its id.
FILE=$(curl -sS --fail-with-body "$SLUICE_URL/v1/files" \
  -H "Authorization: Bearer $SLUICE_KEY" \
  -F purpose=report -F file=@report-2026-q3.txt | jq -r .id)

# Share it for an hour, and say why.
LINK=$(curl -sS --fail-with-body "$SLUICE_URL/v1/files/$FILE/links" \
  -H "Authorization: Bearer $SLUICE_KEY" \
  -H "Content-Type: application/json" \
  -d '{"expires_in_seconds": 3600, "reason": "quarterly report for the bank"}' | jq -r .url)

# Whoever has the link can download the file.
curl -sS --fail-with-body -o copy.txt "$LINK"

# The log tells what was done, and why.
curl -sS --fail-with-body "$SLUICE_URL/v1/audit_entries?file_id=$FILE" \
  -H "Authorization: Bearer $SLUICE_KEY"
