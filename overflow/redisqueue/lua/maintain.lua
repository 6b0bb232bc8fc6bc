-- Maintain does what time has made due.
--
-- KEYS[1]  prefix
-- ARGV     how much of each at most
-- Output   whether there may be more (1 or 0), how many were overdue, how many were
--          removed, and the jobs that were rescued

local limit = tonumber(ARGV[1])
local more = 0

-- due returns the jobs in a set whose time has come, the oldest first. IDs of
-- which there is no job, or one in another state, are taken out of it.
local function due(set, right)
  local ids = call('ZRANGEBYSCORE', P .. set, '-inf', score(NOW), 'LIMIT', 0, limit)
  if #ids == limit then more = 1 end
  local jobs = {}
  for _, id in ipairs(ids) do
    local j = load(id)
    if j and right(j) then
      jobs[#jobs + 1] = j
    else
      call('ZREM', P .. set, id)
    end
  end
  byAge(jobs)
  return jobs
end

local rescued = {}
for _, kind in ipairs(KINDS) do
  for _, j in ipairs(due('leases:' .. kind, function(j) return j[STATE] == 'executing' end)) do
    leave(j)
    put(j, CRASHES, int(j[CRASHES]) + 1)
    put(j, ATTEMPT, math.max(0, int(j[ATTEMPT]) - 1))
    put(j, SNOOZES, false)
    arrive(j, 'available', again)
    rescued[#rescued + 1] = j
  end
end

local overdue = due('deadlines', function(j) return j[STATE] == 'waiting' or j[STATE] == 'scheduled' end)
for _, j in ipairs(overdue) do
  leave(j)
  arrive(j, 'available', again)
end

local ended = due('keep', function(j) return FINAL[j[STATE]] end)
for _, j in ipairs(ended) do
  leave(j)
  release(j)
  call('UNLINK', P .. 'j:' .. j[ID], P .. 'o:' .. j[ID])
  tell(j[ID], 's')
end

-- trim removes the entries of a stream before those that are still needed: before the first that was
-- given out and is not done, and so before all that were not given out.
local function trim(key)
  if call('XLEN', key) <= 1 then return end
  local pending = redis.pcall('XPENDING', key, GROUP)
  if pending.err then return end -- no group, so nothing was given out
  call('XTRIM', key, 'MINID', pending[1] > 0 and pending[2] or given(key))
end

for _, kind in ipairs(KINDS) do
  for priority = 0, 3 do trim(P .. 'new:' .. kind .. ':' .. priority) end
end

return { more, #overdue, #ended, rescued }
