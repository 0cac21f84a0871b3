const query = new URLSearchParams({ limit: 100 });
for (let more = true; more; ) {
  const response = await fetch(`${process.env.SLUICE_URL}/v1/files?${query}`, {
    headers: { Authorization: `Bearer ${process.env.SLUICE_KEY}` },
  });
  if (!response.ok) throw new Error(await response.text());
  const page = await response.json();
  for (const file of page.data) console.log(file.id);
  query.set("starting_after", page.next_cursor);
  more = page.has_more;
}
