-- Requests the two profiles in turn and counts the responses: profiles by status, others in full.
local count = 0
local paths = {"/api/profile/", "/titled/"}
local threads = {}
function setup(thread) table.insert(threads, thread) end
function init() responses = {} end
function request()
  count = count + 1
  return wrk.format("POST", paths[count % 2 + 1])
end
function response(status, _, body)
  local key = tostring(status)
  if status ~= 200 or not body:find('"username": "john_doe"', 1, true) then
    key = key .. " " .. body
  end
  responses[key] = (responses[key] or 0) + 1
end
function done(summary, latency)
  for _, thread in ipairs(threads) do
    for key, number in pairs(thread:get("responses")) do
      print("response", number, key)
    end
  end
  local errors = summary.errors
  local lost = errors.connect + errors.read + errors.write + errors.timeout
  print("lost", lost, "slowest", latency.max)
end
