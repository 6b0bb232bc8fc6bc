-- Sweep looks after the entries of the streams that nobody has given a sign about for
-- long. What it finds is what no other script leaves behind: it is the net below them.
--
-- KEYS[1]  prefix
-- ARGV     consumer, idle time in milliseconds, the same of dead consumers
-- Output   how many entries were put in order, and how many the server says were lost
--
-- The owner of an entry in the group has no meaning, the lease of its job has; so to claim an entry
-- does no harm to a job that runs.

local consumer, idle, dead = ARGV[1], ARGV[2], tonumber(ARGV[3])
local repaired, lost = 0, 0

-- check puts an entry in order that has been given out.
local function check(key, entry)
  local j = load(entry[2][2])
  local mine = j and j[ENTRY] == entry[1]
  local state = mine and j[STATE]
  if state == 'executing' and call('ZSCORE', index(j), j[ID]) then return end
  repaired = repaired + 1
  if state == 'executing' then -- and nobody would rescue it
    call('ZADD', index(j), score(us(j[LEASE_UNTIL]) or NOW), j[ID])
  elseif state == 'available' then -- given out, but never begun
    leave(j)
    arrive(j, 'available', again)
  else
    call('XACK', key, GROUP, entry[1])
    call('XDEL', key, entry[1])
  end
end

-- claim goes through a stream's entries, of which Redis looks at a limited number at a
-- time and says where to go on. A thousand long-idle entries are enough for once.
local function claim(key)
  local cursor = '0-0'
  for _ = 1, 10 do
    local reply = redis.pcall('XAUTOCLAIM', key, GROUP, consumer, idle, cursor, 'COUNT', 100)
    if reply.err then return end -- there is no group, and so nothing was given out
    for _, entry in ipairs(reply[2]) do
      if entry then check(key, entry) end
    end
    lost = lost + #(reply[3] or {})
    cursor = reply[1]
    if cursor == '0-0' then return end
  end
end

-- bury deletes consumers that have gone. One with entries must stay: they would
-- belong to nobody and never be claimed again.
local function bury(key)
  local consumers = redis.pcall('XINFO', 'CONSUMERS', key, GROUP)
  if consumers.err then return end
  for _, c in ipairs(consumers) do
    local v = {}
    for i = 1, #c, 2 do v[c[i]] = c[i + 1] end
    if v.name ~= consumer and v.pending == 0 and v.idle > dead then
      call('XGROUP', 'DELCONSUMER', key, GROUP, v.name)
    end
  end
end

for _, kind in ipairs(KINDS) do
  for priority = 0, 3 do
    local key = P .. 'new:' .. kind .. ':' .. priority
    if call('EXISTS', key) == 1 then
      claim(key)
      bury(key)
    end
  end
end
return { repaired, lost }
