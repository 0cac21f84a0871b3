const response = await fetch("https://api.mattermode.com/v1/files/file_Y9rJpN4k/links", {
  method: "POST",
  headers: {
    "Authorization": "Bearer sk_test_4eC39HqLyjWDarjtT1zdp7dc",
    "Matter-Version": "2026-06-10",
    "Idempotency-Key": "ee7c3a9b-3f1a-4d8e-9b2a-7c5e1f0a2d4b",
    "Content-Type": "application/json",
  },
  body: JSON.stringify({
    "expires_in_seconds": 3600,
    "metadata": {}
  }),
});

if (!response.ok) {
  throw new Error(`Matter API ${response.status}: ${await response.text()}`);
}

const data = await response.json();
console.log(data);
