-- Reconcile goes through all jobs and sees to it that each is where its state says.
--
-- KEYS[1]  prefix
-- ARGV     number of the set to begin with, from 1, the ID in it after which to go on ("" for all),
--          and how many jobs to look at
-- Output   where to go on (set, 0 at the end, and ID), and how many were put in order

local set, after, budget = tonumber(ARGV[1]), ARGV[2], tonumber(ARGV[3])
local repaired = 0

local SETS = {}
for _, kind in ipairs(KINDS) do
  for priority = 0, 3 do SETS[#SETS + 1] = P .. 'i:' .. kind .. ':available:' .. priority end
  for _, state in ipairs({ 'waiting', 'scheduled', 'completed', 'discarded', 'cancelled' }) do
    SETS[#SETS + 1] = P .. 'i:' .. kind .. ':' .. state
  end
end

local lasts = {} -- by stream, the entry that its group gave out last

-- later reports whether one ID of an entry comes after another.
local function later(a, b)
  local a1, a2 = string.match(a, '^(%d+)-(%d+)$')
  local b1, b2 = string.match(b, '^(%d+)-(%d+)$')
  if not a1 or not b1 then return false end
  a1, a2, b1, b2 = tonumber(a1), tonumber(a2), tonumber(b1), tonumber(b2)
  return a1 > b1 or (a1 == b1 and a2 > b2)
end

-- queued reports whether an available job will be given out.
local function queued(j)
  if not j[ENTRY] then return call('ZSCORE', again(j), j[ID]) end
  local key, entry = new(j), j[ENTRY]
  if not lasts[key] then lasts[key] = given(key) end
  return later(entry, lasts[key]) and #call('XRANGE', key, entry, entry) == 1
end

-- member puts an ID into a set if it is not there.
local function member(key, at, id)
  if call('ZSCORE', key, id) then return false end
  call('ZADD', key, score(at), id)
  return true
end

-- mend puts a job in order and reports whether that was needed.
local function mend(j)
  local s, id = j[STATE], j[ID]
  local fixed = false
  if s == 'available' then
    if not queued(j) then
      leave(j)
      arrive(j, 'available', again)
      fixed = true
    end
  elseif s == 'scheduled' then
    fixed = member(P .. 'scheduled:' .. j[KIND], us(j[RUN_AT]) or NOW, id)
    if fixed then ring(j[KIND]) end
  elseif s == 'waiting' then
    local lane = j[LANE] or ''
    fixed = member(P .. 'lane:' .. j[KIND] .. ':' .. lane, int(j[PRIORITY]), id)
    if call('SADD', P .. 'lanes:' .. j[KIND], lane) == 1 then fixed = true end
  elseif FINAL[s] then
    fixed = member(P .. 'keep', us(j[KEEP_UNTIL]) or NOW, id)
  end
  if (s == 'scheduled' or s == 'waiting') and j[DEADLINE] then
    if member(P .. 'deadlines', us(j[DEADLINE]) or NOW, id) then fixed = true end
  end
  if j[UNIQUE] and s ~= 'discarded' and s ~= 'cancelled' and not holder(j[UNIQUE]) then
    call('HSET', P .. 'uniques', j[UNIQUE], id)
    fixed = true
  end
  return fixed
end

-- check sees to one ID of a set.
local function check(key, id)
  local j = load(id)
  if not j then
    call('ZREM', key, id)
    call('UNLINK', P .. 'o:' .. id)
    repaired = repaired + 1
    return
  end
  local moved = index(j) ~= key
  if moved then
    call('ZREM', key, id)
    local at = j[STATE] == 'executing' and us(j[LEASE_UNTIL]) or 0
    call('ZADD', index(j), score(at), id)
  end
  if mend(j) or moved then repaired = repaired + 1 end
end

while set > 0 and budget > 0 do
  local key = SETS[set]
  local ids = call('ZRANGE', key, after == '' and '-' or '(' .. after, '+', 'BYLEX', 'LIMIT', 0, budget)
  for _, id in ipairs(ids) do check(key, id) end
  if #ids == budget then
    after = ids[#ids]
  else
    set, after = set + 1, ''
    if set > #SETS then set = 0 end
  end
  budget = budget - #ids
end
return { set, after, repaired }
