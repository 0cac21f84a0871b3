-- For wrk: requests random paths and prints one line for scripts: requests a second,
-- p50 and p99 in milliseconds, and failed responses. A path is BENCH_PREFIX, a line of
-- BENCH_IDS and BENCH_SUFFIX. Each connection waits BENCH_PAUSE milliseconds before a
-- request, plus or minus a half.
local paths = {}
for id in io.lines(os.getenv("BENCH_IDS")) do
  paths[#paths + 1] = os.getenv("BENCH_PREFIX") .. id .. (os.getenv("BENCH_SUFFIX") or "")
end

wrk.method = os.getenv("BENCH_METHOD") or "GET"
wrk.body = os.getenv("BENCH_BODY")
wrk.headers["Authorization"] = "Bearer " .. os.getenv("BENCH_KEY")
if wrk.body then
  wrk.headers["Content-Type"] = "application/json"
end

function request()
  return wrk.format(nil, paths[math.random(#paths)])
end

local pause = tonumber(os.getenv("BENCH_PAUSE") or "0")
if pause > 0 then
  function delay()
    return math.random(math.floor(pause / 2), math.floor(pause * 3 / 2))
  end
end

function done(summary, latency)
  local errors = summary.errors
  io.write(string.format("%.0f %.3f %.3f %d\n", summary.requests / (summary.duration / 1e6),
    latency:percentile(50) / 1000, latency:percentile(99) / 1000,
    errors.status + errors.connect + errors.read + errors.write + errors.timeout))
end
