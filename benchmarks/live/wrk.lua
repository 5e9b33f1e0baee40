-- Posts the lines of a file in turn; says what came of it as one line of JSON.
wrk.headers["Content-Type"] = "application/json"

local posts, turn = {}, 0

function init(args)
  for line in io.lines(args[1]) do
    posts[#posts + 1] = wrk.format("POST", nil, nil, line)
  end
end

function request()
  turn = turn % #posts + 1
  return posts[turn]
end

function done(summary, latency)
  local errors = summary.errors
  io.write(string.format(
    '{"requests": %d, "microseconds": %d, "refused": %d, "broken": %d, "p50": %d, "p99": %d, "most": %d}\n',
    summary.requests, summary.duration, errors.status,
    errors.connect + errors.read + errors.write + errors.timeout,
    latency:percentile(50), latency:percentile(99), latency.max))
end
