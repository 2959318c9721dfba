-- The requests of one turn, which all differ (each target comes back twice with another caller, other headers, other
-- ids), made before the first is sent. Arguments: KEYS_FILE CASE TARGETS, see load.py.

local ROUNDS = 3
local requests, count, position = {}, 0, 0

local function hex(digits)
  local parts = {}
  for n = 1, digits / 4 do
    parts[n] = string.format("%04x", math.random(0, 0xffff))
  end
  return table.concat(parts)
end

local function uuid()
  return "0190" .. hex(4) .. "-" .. hex(4) .. "-7" .. hex(4):sub(2) .. "-8" .. hex(4):sub(2) .. "-" .. hex(12)
end

local function read_target()
  local kind = math.random(5)
  if kind == 1 then return "/v1/accounts/" .. uuid() end
  if kind == 2 then return "/v1/contacts/" .. uuid() .. "?fields=id,family_name,emails&include=account" end
  if kind == 3 then return "/v1/tickets/" .. uuid() .. "/events?limit=" .. math.random(200) end
  if kind == 4 then return "/v1/deals?filter%5Bstage%5D=won&sort=-created_at&limit=50&cursor=" .. hex(48) end
  return "/v1/contacts?q=" .. hex(8) .. "&count=estimated"
end

local function write_target()
  local kind = math.random(3)
  if kind == 1 then return "/v1/accounts/" .. uuid() .. "/activities" end
  if kind == 2 then return "/v1/deals/" .. uuid() .. "/stage-changes" end
  return "/v1/tickets?external_id=" .. hex(16)
end

local function document_target()
  return "/v1/documents/" .. uuid() .. (math.random(2) == 1 and "?version=" .. math.random(900) or "")
end

-- Header sets as a front-end in a browser, a command line and a partner's service send them.
local function browser(key)
  return {
    "Host: crm.example.com", "Connection: keep-alive",
    'sec-ch-ua: "Chromium";v="' .. math.random(120, 149) .. '", "Not_A Brand";v="24"', "sec-ch-ua-mobile: ?0",
    "Authorization: Bearer " .. key,
    "User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/"
      .. math.random(120, 149) .. ".0.0.0 Safari/537.36",
    "Accept: application/json, text/plain, */*", "Origin: https://app.example.com", "Sec-Fetch-Site: same-site",
    "Sec-Fetch-Mode: cors", "Referer: https://app.example.com/deals/" .. hex(8), "Accept-Encoding: gzip, deflate, br",
    "Accept-Language: " .. ({"de-DE,de;q=0.9,en;q=0.8", "en-GB,en;q=0.9", "fr-FR,fr;q=0.9,en;q=0.7"})[math.random(3)],
  }
end

local function command_line(key)
  return {
    "Host: crm.example.com:8000", "User-Agent: curl/8." .. math.random(0, 15) .. ".0", "Accept: */*",
    "Authorization: Bearer " .. key,
  }
end

local function partner(key)
  return {
    "host: api.crm.example.com", "accept: application/json", "accept-encoding: gzip, deflate", "connection: keep-alive",
    "user-agent: partner-sync/" .. math.random(1, 9) .. "." .. math.random(0, 30), "x-api-key: " .. key,
    "x-partner-batch: " .. hex(12),
  }
end

local SETS = {browser, command_line, partner}

local function request_of(target, key, body)
  local lines = SETS[math.random(#SETS)](key)
  table.insert(lines, 1, (body and "POST " or "GET ") .. target .. " HTTP/1.1")
  if math.random(2) == 1 then
    table.insert(lines, "traceparent: 00-" .. hex(32) .. "-" .. hex(16) .. "-0" .. math.random(0, 1))
    if math.random(4) == 1 then table.insert(lines, "tracestate: vendor=" .. hex(8)) end
  end
  if math.random(4) == 1 then table.insert(lines, "X-Request-Id: " .. uuid()) end
  if body then
    if math.random(2) == 1 then table.insert(lines, "Idempotency-Key: " .. uuid()) end
    table.insert(lines, "Content-Type: application/json")
    table.insert(lines, "Content-Length: " .. #body)
  end
  return table.concat(lines, "\r\n") .. "\r\n\r\n" .. (body or "")
end

local function json_of_1k()
  local start = '{"name":"' .. hex(16) .. '","note":"'
  return start .. string.rep("n", 1024 - #start - 2) .. '"}'
end

local TARGET_OF = {["1k"] = read_target, ["64k"] = document_target, ["post1k"] = write_target}

function init(args)
  math.randomseed(20261121)
  local keys = {}
  for key in io.lines(args[1]) do table.insert(keys, key) end
  local case, number, targets = args[2], tonumber(args[3]), {}
  count = number * ROUNDS
  for n = 1, number do targets[n] = TARGET_OF[case]() end
  for n = 0, count - 1 do
    local body = case == "post1k" and json_of_1k() or nil
    requests[n] = request_of(targets[n % number + 1], keys[math.random(#keys)], body)
  end
end

function request()
  position = (position + 1) % count
  return requests[position]
end

-- Durations in microseconds.
function done(summary, latency)
  local errors = summary.errors
  io.write(string.format(
    '{"requests": %d, "bytes": %d, "duration_us": %d, "p50_us": %d, "p99_us": %d, '
      .. '"refused": %d, "broken": %d, "timed_out": %d}\n',
    summary.requests, summary.bytes, summary.duration, latency:percentile(50), latency:percentile(99),
    errors.status, errors.connect + errors.read + errors.write, errors.timeout))
end
