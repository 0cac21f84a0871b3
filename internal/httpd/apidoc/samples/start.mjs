import { openAsBlob } from "node:fs";
import { writeFile } from "node:fs/promises";

const { SLUICE_URL, SLUICE_KEY } = process.env;

async function call(path, options) {
  const headers = { Authorization: `Bearer ${SLUICE_KEY}`, ...options?.headers };
  const response = await fetch(SLUICE_URL + path, { ...options, headers });
  if (!response.ok) throw new Error(await response.text());
  return response.json();
}

// Upload a file, and keep its id.
const form = new FormData();
form.set("purpose", "report");
form.set("file", await openAsBlob("report-2026-q3.txt", { type: "text/plain" }), "report-2026-q3.txt");
const file = await call("/v1/files", { method: "POST", body: form });

// Share it for an hour, and say why.
const link = await call(`/v1/files/${file.id}/links`, {
  method: "POST",
  headers: { "Content-Type": "application/json" },
  body: JSON.stringify({ expires_in_seconds: 3600, reason: "quarterly report for the bank" }),
});

// Whoever has the link can download the file.
const download = await fetch(link.url);
if (!download.ok) throw new Error(await download.text());
await writeFile("copy.txt", download.body);

// The log tells what was done, and why.
console.log(await call(`/v1/audit_entries?file_id=${file.id}`));
