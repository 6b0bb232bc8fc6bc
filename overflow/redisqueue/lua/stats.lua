-- Stats counts.
--
-- KEYS[1]  prefix
-- ARGV     none
-- Output   whether the queue is paused (1 or 0), the server's memory as INFO tells it or "",
--          a list of kind, state and how many, over and over,
--          a list of kind and when its oldest job was created that has not ended,
--          and a list of kind, lane and how many wait in it

local counts, oldest, lanes = {}, {}, {}

local function add(list, ...)
  for _, v in ipairs({ ... }) do list[#list + 1] = v end
end

for _, kind in ipairs(KINDS) do
  local available, first = 0, nil
  local function see(name)
    local key = P .. 'i:' .. kind .. ':' .. name
    local id = call('ZRANGE', key, 0, 0)[1]
    if id and (not first or id < first) then first = id end
    return call('ZCARD', key)
  end
  for priority = 0, 3 do available = available + see('available:' .. priority) end
  add(counts, kind, 'available', available)
  for _, state in ipairs({ 'waiting', 'scheduled' }) do add(counts, kind, state, see(state)) end
  local running = call('ZRANGE', P .. 'leases:' .. kind, 0, -1)
  for _, id in ipairs(running) do
    if not first or id < first then first = id end
  end
  add(counts, kind, 'executing', #running)
  for state in pairs(FINAL) do add(counts, kind, state, call('ZCARD', P .. 'i:' .. kind .. ':' .. state)) end
  local created = first and call('HGET', P .. 'j:' .. first, 'created_at')
  if created then add(oldest, kind, created) end
  for _, lane in ipairs(call('SMEMBERS', P .. 'lanes:' .. kind)) do
    add(lanes, kind, lane, call('ZCARD', P .. 'lane:' .. kind .. ':' .. lane))
  end
end

local info = redis.pcall('INFO', 'memory')
if type(info) ~= 'string' then info = '' end -- the user may not
return { call('EXISTS', P .. 'paused'), info, counts, oldest, lanes }
