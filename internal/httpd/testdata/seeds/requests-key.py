import requests

headers = {
    "Authorization": "Bearer sk_test_4eC39HqLyjWDarjtT1zdp7dc",
    "Matter-Version": "2026-06-10",
    "Idempotency-Key": "ee7c3a9b-3f1a-4d8e-9b2a-7c5e1f0a2d4b",
}
payload = {
    "expires_in_seconds": 3600,
    "metadata": {}
}

resp = requests.post(
    "https://api.mattermode.com/v1/files/file_Y9rJpN4k/links",
    headers=headers,
    json=payload,
)
resp.raise_for_status()
print(resp.json())
