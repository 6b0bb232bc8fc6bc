-- What the scripts share. Each script is this file and, as a function that is called
-- once for each call in a batch, its own: ARGV in it is what one call was given, and
-- what it returns is one element of the answer. A failure of one leaves the others alone.
--
-- KEYS[1] of every script is the prefix of all keys, "{name}:". No key has that
-- name; it says in which slot the others are, whose names are made here:
--
--   j:<id>        hash   a job: NAMES, payload and head. A field that is empty is not there.
--   o:<id>        list   what the job's present run has put out, or its last
--   new:<kind>:<priority>    stream  jobs that are available for the first time, by ID, and
--                        those that run for the first time. Consumer group "w".
--   again:<kind>:<priority>  zset    available jobs that have come back, in the order of
--                        their age, which a stream could not give them
--   leases:<kind> zset   executing jobs, by when their lease runs out
--   i:<kind>:<state>[:<priority>]
--                 zset   the IDs of all jobs of another state, all with the score 0 and so
--                        in the order of their age; of available ones by priority
--   scheduled:<kind>   zset   by when they become available
--   lane:<kind>:<lane> zset   waiting jobs, by priority
--   lanes:<kind>       set    the lanes that have some
--   deadlines     zset   waiting and scheduled jobs, by their deadline
--   keep          zset   jobs that have ended, by when they are removed
--   uniques       hash   from a Unique to the job that holds it
--   idle:<kind>   string if somebody waits for something to claim
--   wake:<kind>   stream of one entry: a new one says that there may be something
--   paused        string while no requests are to be claimed
--   turn:<task>:<slot> string  who has the turn
--   w:<id>        shard channel: "s" when the job's state has changed, "o" after it has put something out
--
-- Scores and NOW are microseconds since 1970, which a double holds exactly; times in a
-- job are nanoseconds, in decimal, which it does not. Time is the server's.

local P = KEYS[1]
local GROUP = 'w'
local KINDS = { 'request', 'callback' }
local FINAL = { completed = true, discarded = true, cancelled = true }

-- The fields of a job in its hash. In a job as load returns it each has its number here,
-- and one that is empty is false. The name of a field in capitals is its number, and ID the one
-- after them: scripts.go puts the numbers in, since 30 variables more would cost the
-- server some time whenever a script is run.
local NAMES = {
  'state', 'kind', 'owner', 'priority', 'model', 'lane', 'run_at', 'created_at',
  'started_at', 'ended_at', 'deadline', 'keep_until', 'attempt', 'max_attempts',
  'run', 'crashes', 'snoozes', 'lease', 'lease_until', 'cancel_asked', 'unique',
  'fingerprint', 'parent', 'reason', 'error', 'output_size', 'entry', 'op',
}

local call = redis.call
local time = call('TIME')
local NOW = time[1] * 1000000 + time[2]

-- score returns a number as Redis is to read it.
local function score(t) return string.format('%.0f', t) end

-- ns returns a score as a time of a job; us does the reverse, and is nil for none.
local function ns(t) return string.format('%.0f000', t) end
local NOW_NS = ns(NOW)
local function us(t) return t and tonumber(string.sub(t, 1, -4)) end

-- int returns a field that is a number, 0 if it is empty or broken.
local function int(v) return tonumber(v or 0) or 0 end

-- load returns a job, or nil if it is not there, and if it is asked for one more field that.
local function load(id, more)
  NAMES[ID] = more
  local j = call('HMGET', P .. 'j:' .. id, unpack(NAMES))
  NAMES[ID] = nil
  if not j[STATE] then return nil end
  more, j[ID] = j[ID], id
  return j, more
end

-- put changes a field of a job. Empty text and 0 are no value; numbers are small.
local function put(j, field, value)
  if value == '' or value == 0 then value = false end
  if type(value) == 'number' then value = tostring(value) end
  if j[field] == value then return end
  j[field] = value
  if value then
    local set = j.set or {}
    set[#set + 1] = NAMES[field]
    set[#set + 1] = value
    j.set = set
  else
    local gone = j.gone or {}
    gone[#gone + 1] = field
    j.gone = gone
  end
end

-- save stores what was changed of a job, and more fields and values. Of a field that was
-- changed twice the last change counts.
local function save(j, ...)
  local key, set = P .. 'j:' .. j[ID], j.set or {}
  for _, v in ipairs({ ... }) do set[#set + 1] = v end
  if #set > 0 then call('HSET', key, unpack(set)) end
  for _, field in ipairs(j.gone or {}) do
    if not j[field] then call('HDEL', key, NAMES[field]) end
  end
  j.set, j.gone = nil, nil
end

-- index returns the key of the set that all jobs of a job's state are in.
local function index(j)
  if j[STATE] == 'executing' then return P .. 'leases:' .. j[KIND] end
  if j[STATE] == 'available' then
    return P .. 'i:' .. j[KIND] .. ':available:' .. (j[PRIORITY] or '0')
  end
  return P .. 'i:' .. j[KIND] .. ':' .. j[STATE]
end

-- new and again return where a job is when it is available.
local function new(j) return P .. 'new:' .. j[KIND] .. ':' .. (j[PRIORITY] or '0') end
local function again(j) return P .. 'again:' .. j[KIND] .. ':' .. (j[PRIORITY] or '0') end

-- tell says to those who watch a job that it has changed.
local function tell(id, what) call('SPUBLISH', P .. 'w:' .. id, what) end

-- ring wakes those who wait for something to claim, in every process. Once in a script is
-- enough: they come when it is done.
local rung = {}
local function ring(kind)
  if rung[kind] then return end
  rung[kind] = true
  if call('DEL', P .. 'idle:' .. kind) == 1 then
    call('XADD', P .. 'wake:' .. kind, 'MAXLEN', '1', '*', 'j', '')
  end
end

-- dequeue takes a job out of its stream. If it is in none, it has come back. What entry says of a job
-- that is neither available nor runs, and its lease, is out of date.
local function dequeue(j)
  if j[ENTRY] then
    local key = new(j)
    call('XACK', key, GROUP, j[ENTRY])
    -- An entry that was given out and is done stays for maintain.lua, since to delete
    -- one is slow, and many at a time are not. One that was not must not be given out.
    if j[STATE] == 'available' then call('XDEL', key, j[ENTRY]) end
  elseif j[STATE] == 'available' then
    call('ZREM', again(j), j[ID])
  end
end

-- leave takes a job out of everything that belongs to its state. In a script that ends a
-- run it is the first to write, and begins with XACK or ZREM, which a full server allows.
local function leave(j)
  local s = j[STATE]
  if s == 'executing' or s == 'available' then
    dequeue(j)
  elseif s == 'scheduled' then
    call('ZREM', P .. 'scheduled:' .. j[KIND], j[ID])
    put(j, RUN_AT, false)
  elseif s == 'waiting' then
    local lane = j[LANE] or ''
    local key = P .. 'lane:' .. j[KIND] .. ':' .. lane
    call('ZREM', key, j[ID])
    if call('EXISTS', key) == 0 then call('SREM', P .. 'lanes:' .. j[KIND], lane) end
    put(j, LANE, false)
  else
    call('ZREM', P .. 'keep', j[ID])
    put(j, ENDED_AT, false)
    put(j, KEEP_UNTIL, false)
  end
  if j[DEADLINE] and (s == 'scheduled' or s == 'waiting') then call('ZREM', P .. 'deadlines', j[ID]) end
  call('ZREM', index(j), j[ID])
end

-- arrive puts a job into a state, which is none of the final ones, stores it, and
-- tells. at is, of an available job, whether it is new or has come back (new or again), of a
-- scheduled one its time, and of a waiting one its lane. More fields and values are stored with it.
local function arrive(j, state, at, ...)
  local kind, id, first = j[KIND], j[ID], not j[STATE]
  put(j, STATE, state)
  if state == 'available' then
    if at == new then
      put(j, ENTRY, call('XADD', new(j), '*', 'id', id))
    else
      put(j, ENTRY, false)
      call('ZADD', again(j), 0, id)
    end
    ring(kind)
  elseif state == 'scheduled' then
    if us(j[RUN_AT]) ~= at then put(j, RUN_AT, ns(at)) end
    local key = P .. 'scheduled:' .. kind
    call('ZADD', key, score(at), id)
    -- Those who wait for the next one are to wait less long.
    if call('ZRANGE', key, 0, 0)[1] == id then ring(kind) end
  else
    put(j, LANE, at)
    call('ZADD', P .. 'lane:' .. kind .. ':' .. at, int(j[PRIORITY]), id)
    call('SADD', P .. 'lanes:' .. kind, at)
  end
  if j[DEADLINE] and state ~= 'available' then
    call('ZADD', P .. 'deadlines', score(us(j[DEADLINE]) or 0), id)
  end
  call('ZADD', index(j), 0, id)
  save(j, ...)
  if not first then tell(id, 's') end -- of a job that is new nobody knows
end

-- release frees the Unique of a job, if it holds it.
local function release(j)
  if j[UNIQUE] and call('HGET', P .. 'uniques', j[UNIQUE]) == j[ID] then
    call('HDEL', P .. 'uniques', j[UNIQUE])
  end
end

-- finish ends a job in one of the final states and keeps it for so many microseconds.
local function finish(j, state, keep, ...)
  put(j, STATE, state)
  put(j, ENDED_AT, NOW_NS)
  local till = score(NOW + keep)
  put(j, KEEP_UNTIL, till .. '000')
  call('ZADD', P .. 'keep', till, j[ID])
  call('ZADD', index(j), 0, j[ID])
  if state ~= 'completed' then release(j) end
  save(j, ...)
  tell(j[ID], 's')
end

-- create stores a job. args[from] and on are its kind, priority, run_at, deadline, created_at
-- and unique, then fields and values: all that are not empty but run_at, payload and head too. It
-- returns its state and when it was created.
local function create(id, args, from)
  local created, unique, at = args[from + 4], args[from + 5], us(args[from + 2])
  local j = {
    [ID] = id, [STATE] = false, [KIND] = args[from], [PRIORITY] = args[from + 1], [RUN_AT] = false,
    [DEADLINE] = args[from + 3] ~= '' and args[from + 3], [CREATED_AT] = created,
  }
  if created == '' then put(j, CREATED_AT, NOW_NS) end
  if unique ~= '' then call('HSET', P .. 'uniques', unique, id) end
  if at and at > NOW then
    put(j, RUN_AT, args[from + 2])
    arrive(j, 'scheduled', at, unpack(args, from + 6))
  else
    arrive(j, 'available', new, unpack(args, from + 6))
  end
  return { j[STATE], j[CREATED_AT] }
end

-- holder returns the ID of the job that holds a Unique, or nil.
local function holder(unique)
  if not unique or unique == '' then return nil end
  local id = call('HGET', P .. 'uniques', unique)
  if id and call('EXISTS', P .. 'j:' .. id) == 1 then return id end
  return nil
end

-- full returns what get.lua and its kin do: a verdict, a job, its payload and its head.
local function full(verdict, id)
  local j = load(id)
  if not j then return { 'missing' } end
  local more = call('HMGET', P .. 'j:' .. id, 'payload', 'head')
  return { verdict, j, more[1], more[2] }
end

-- byAge sorts jobs by their age.
local function byAge(jobs)
  table.sort(jobs, function(a, b) return a[ID] < b[ID] end)
end

-- given returns which entry of a stream the group gave out last.
local function given(key)
  local groups = redis.pcall('XINFO', 'GROUPS', key)
  if not groups.err then
    for _, g in ipairs(groups) do
      for i = 1, #g, 2 do
        if g[i] == 'last-delivered-id' then return g[i + 1] end
      end
    end
  end
  return '0-0'
end

-- batch is what a script knows from one call to the next.
local batch = {}
