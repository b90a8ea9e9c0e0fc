-- Asks both profiles by turns, and counts the answers: a profile by its status, any other in full.
local count = 0
local paths = {"/api/profile/", "/titled/"}
local threads = {}
function setup(thread) table.insert(threads, thread) end
function init() answers = {} end
function request()
  count = count + 1
  return wrk.format("POST", paths[count % 2 + 1])
end
function response(status, _, body)
  local answer = tostring(status)
  if status ~= 200 or not body:find('"username": "john_doe"', 1, true) then
    answer = answer .. " " .. body
  end
  answers[answer] = (answers[answer] or 0) + 1
end
function done(summary, latency)
  for _, thread in ipairs(threads) do
    for answer, number in pairs(thread:get("answers")) do
      print("answer", number, answer)
    end
  end
  local errors = summary.errors
  local lost = errors.connect + errors.read + errors.write + errors.timeout
  print("lost", lost, "slowest", latency.max)
end
