# Choose the key before the first attempt, and keep it for all others.
ATTEMPT=$(cat /proc/sys/kernel/random/uuid)

for i in 1 2 3; do
  curl -sS --fail-with-body "$SLUICE_URL/v1/keys" \
    -H "Authorization: Bearer $SLUICE_KEY" \
    -H "Idempotency-Key: $ATTEMPT" \
    -H "Content-Type: application/json" \
    -d '{"name": "billing", "scopes": ["links:write"]}' && break
  sleep $i
done
