curl -X POST "https://api.mattermode.com/v1/files/{id}/links" \
  -H "Content-Type: application/json" \
  -d '{
    "expires_in_seconds": 3600,
    "metadata": {}
  }'
