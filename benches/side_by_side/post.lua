-- wrk: one fixed POST as fast as it goes; the result as one JSON line after RESULT.
-- BENCH_BODY names the file of the body, BENCH_TARGET the request target.
local file = assert(io.open(os.getenv("BENCH_BODY"), "rb"))
wrk.method = "POST"
wrk.path = os.getenv("BENCH_TARGET")
wrk.body = file:read("*a")
wrk.headers["content-type"] = "application/x-sentry-envelope"
wrk.headers["user-agent"] = "sentry.python/2.0"
wrk.headers["x-sentry-auth"] = os.getenv("BENCH_AUTH")
file:close()

function done(summary, latency, requests)
  local errors = summary.errors
  io.write(string.format('RESULT {"requests":%d,"seconds":%f,"bad_status":%d,"broken":%d,"p50_us":%d,"p99_us":%d}\n',
    summary.requests, summary.duration / 1e6, errors.status,
    errors.connect + errors.read + errors.write + errors.timeout, latency:percentile(50), latency:percentile(99)))
end
