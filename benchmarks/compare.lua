-- Requests the profiles of many users in turn. The file TOKENS has one token per line.
local requests, last = {}, 0

function init()
  for token in io.lines(os.getenv("TOKENS")) do
    local headers = { Authorization = "Bearer " .. token, ["Content-Type"] = "application/json" }
    requests[#requests + 1] = wrk.format(os.getenv("METHOD"), nil, headers)
  end
end

function request()
  last = last % #requests + 1
  return requests[last]
end
