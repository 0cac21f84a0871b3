-- For wrk: prints one line for scripts: requests a second, MB a second as received,
-- p50 and p99 in milliseconds, complete responses, and failed or missing ones.
-- It defines no function request, so that wrk repeats the same bytes, which is fastest.
function done(summary, latency)
  local errors = summary.errors
  local seconds = summary.duration / 1e6
  io.write(string.format("%.0f %.1f %.3f %.3f %d %d\n", summary.requests / seconds, summary.bytes / 1e6 / seconds,
    latency:percentile(50) / 1000, latency:percentile(99) / 1000, summary.requests,
    errors.status + errors.connect + errors.read + errors.write + errors.timeout))
end
