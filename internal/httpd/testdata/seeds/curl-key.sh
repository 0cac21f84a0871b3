curl --request POST 'https://api.mattermode.com/v1/files/file_Y9rJpN4k/links' \
  --header 'Authorization: Bearer sk_test_4eC39HqLyjWDarjtT1zdp7dc' \
  --header 'Matter-Version: 2026-06-10' \
  --header 'Idempotency-Key: ee7c3a9b-3f1a-4d8e-9b2a-7c5e1f0a2d4b' \
  --header 'Content-Type: application/json' \
  --data '{
    "expires_in_seconds": 3600,
    "metadata": {}
  }'
