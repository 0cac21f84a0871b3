STATUS=$(curl -sS -o answer.json -w '%{http_code}' "$SLUICE_URL/v1/files/file_unknown" \
  -H "Authorization: Bearer $SLUICE_KEY")
if [ "$STATUS" -ge 400 ]; then
  case $(jq -r .code answer.json) in
    not_found) echo "There is no such file." ;;
    rate_limited | unavailable) echo "Try again in $(jq .retry_after answer.json) s." ;;
    *) jq -r '"\(.detail) (\(.doc_url), request \(.request_id))"' answer.json ;;
  esac
fi
