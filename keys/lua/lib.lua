-- What the scripts share. All keys of a call are in one hash slot.
--
-- A window is a hash:
--   h      the latest part, known by how many came before it
--   t      the total of all parts
--   0..60  what was used in a part, by its number modulo 61; not there for 0
-- Its parts are as long as the caller says, in microseconds, and the name of the key tells
-- how long; it expires when nothing in it counts any more.
--
-- Concurrency is a sorted set of leases, by when they expire unless they are refreshed.
--
-- Time is the server's, in microseconds since 1970, which a double holds exactly.

local call = redis.call
local time = call('TIME')
local NOW = time[1] * 1000000 + time[2]
local PARTS = 60

local function int(n) return string.format('%.0f', n) end

-- load returns a window as of now: its key, the length of its parts, its head and total, and
-- removes what is too old to count.
local function load(key, part)
  local v = call('HMGET', key, 'h', 't')
  local w = { key = key, part = part, head = math.floor(NOW / part), total = 0, fresh = not v[1] }
  if w.fresh then return w end
  local head = tonumber(v[1])
  w.total = tonumber(v[2])
  if w.head <= head then -- the clock may have been set back
    w.head = head
    return w
  end
  if w.head - head > PARTS then
    call('DEL', key)
    w.total, w.fresh = 0, true
    return w
  end
  local old = {}
  for s = head + 1, w.head do old[#old + 1] = int(s % (PARTS + 1)) end
  local gone = call('HMGET', key, unpack(old))
  for i = 1, #old do w.total = w.total - (tonumber(gone[i] or 0)) end
  call('HDEL', key, unpack(old))
  call('HSET', key, 'h', int(w.head), 't', int(w.total))
  return w
end

-- add counts n in the latest part.
local function add(w, n)
  if n <= 0 then return end
  w.total = w.total + n
  call('HINCRBY', w.key, int(w.head % (PARTS + 1)), int(n))
  call('HSET', w.key, 'h', int(w.head), 't', int(w.total))
  call('PEXPIRE', w.key, int(math.ceil(w.part * (PARTS + 2) / 1000)))
  w.fresh = false
end

-- waited returns after how long a part counts no more.
local function waited(w, part) return (part + PARTS + 1) * w.part - NOW end

-- used returns what was used in each part that counts, the oldest first, and which part
-- that is.
local function used(w)
  local first, fields = math.max(w.head - PARTS, 0), {}
  for s = first, w.head do fields[#fields + 1] = int(s % (PARTS + 1)) end
  return w.fresh and {} or call('HMGET', w.key, unpack(fields)), first
end

-- wait returns after how long need more fits into a limit, 0 for now and -1 for never.
local function wait(w, need, limit)
  local excess = w.total + need - limit
  if excess <= 0 then return 0 end
  local counts, first = used(w)
  for i = 1, #counts do
    excess = excess - tonumber(counts[i] or 0)
    if excess <= 0 then return waited(w, first + i - 1) end
  end
  return -1
end

-- reset returns after how long nothing counts any more that has been used so far.
local function reset(w)
  if w.total <= 0 then return 0 end
  local counts, first = used(w)
  for i = #counts, 1, -1 do
    if counts[i] then return waited(w, first + i - 1) end
  end
  return 0
end
