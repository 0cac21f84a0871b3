AFTER=
while :; do
  PAGE=$(curl -sS --fail-with-body "$SLUICE_URL/v1/files?limit=100$AFTER" \
    -H "Authorization: Bearer $SLUICE_KEY") || exit
  printf '%s' "$PAGE" | jq -r '.data[].id'
  [ "$(printf '%s' "$PAGE" | jq .has_more)" = true ] || break
  AFTER="&starting_after=$(printf '%s' "$PAGE" | jq -r .next_cursor)"
done
