-- Sends requests in turn. Each line of the file REQUESTS has a method and a token. The method "304"
-- is a GET with If-None-Match. Each PATCH sets a new first name.
local requests, last = {}, 0

function init()
  for line in io.lines(os.getenv("REQUESTS")) do
    local method, token = line:match("(%S+) (%S+)")
    requests[#requests + 1] = { method, token }
  end
end

function request()
  last = last + 1
  local method, token = unpack(requests[last % #requests + 1])
  -- gunicorn's sync worker closes each connection; the others do the same here.
  local headers, body = { Authorization = "Bearer " .. token, Connection = "close" }, nil
  if method == "304" then
    method, headers["If-None-Match"] = "GET", "*"
  elseif method == "PATCH" then
    headers["Content-Type"] = "application/json"
    body = string.format('{"first_name": "Alice %d %d"}', os.time(), last)
  end
  return wrk.format(method, nil, headers, body)
end
