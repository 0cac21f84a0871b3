// Choose the key before the first attempt, and keep it for all others.
const attempt = crypto.randomUUID();
const body = JSON.stringify({ name: "billing", scopes: ["links:write"] });

async function createKey() {
  const response = await fetch(`${process.env.SLUICE_URL}/v1/keys`, {
    method: "POST",
    headers: {
      Authorization: `Bearer ${process.env.SLUICE_KEY}`,
      "Idempotency-Key": attempt,
      "Content-Type": "application/json",
    },
    body,
  });
  if (response.status >= 500) throw new Error(await response.text());
  return response.json();
}

const key = await createKey().catch(createKey); // a second attempt, after a failure
console.log(key.id);
