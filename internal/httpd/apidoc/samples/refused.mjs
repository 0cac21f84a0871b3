const response = await fetch(`${process.env.SLUICE_URL}/v1/files/file_unknown`, {
  headers: { Authorization: `Bearer ${process.env.SLUICE_KEY}` },
});
if (!response.ok) {
  const problem = await response.json();
  switch (problem.code) {
    case "not_found":
      console.log("There is no such file.");
      break;
    case "rate_limited":
    case "unavailable":
      console.log(`Try again in ${problem.retry_after} s.`);
      break;
    default:
      throw new Error(`${problem.detail} (${problem.doc_url}, request ${problem.request_id})`);
  }
}
