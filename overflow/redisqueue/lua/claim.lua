-- Claim takes available jobs: those of the best priority first, and among those the
-- oldest first.
--
-- KEYS[1]  prefix
-- ARGV     kind, how many at most, lease in microseconds, token, consumer
-- Output   whether something was out of order (1 or 0),
--          in how many microseconds a scheduled job becomes available, -1 for none,
--          the last entry of the stream that says there is something to claim,
--          and the jobs: each a list of its payload and the job
--
-- Each job's lease is the token and the job's number in the answer. A claim whose answer
-- is lost holds its jobs until their leases run out.

local kind, max, lease, token, consumer = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]), ARGV[4], ARGV[5]
local broken, out = 0, {}
local till = score(NOW + lease)

-- promote makes scheduled jobs available whose time has come.
local function promote()
  local key = P .. 'scheduled:' .. kind
  local jobs = {}
  for _, id in ipairs(call('ZRANGEBYSCORE', key, '-inf', score(NOW), 'LIMIT', 0, 100)) do
    local j = load(id)
    if j and j[STATE] == 'scheduled' then
      jobs[#jobs + 1] = j
    else
      call('ZREM', key, id)
    end
  end
  byAge(jobs)
  for _, j in ipairs(jobs) do
    leave(j)
    arrive(j, 'available', again)
  end
end

-- begin makes a job Executing.
local function begin(j, payload)
  call('ZREM', index(j), j[ID])
  if j[RUN] then
    call('UNLINK', P .. 'o:' .. j[ID])
    put(j, OUTPUT_SIZE, false)
  end
  put(j, STATE, 'executing')
  put(j, ATTEMPT, int(j[ATTEMPT]) + 1)
  put(j, RUN, int(j[RUN]) + 1)
  put(j, STARTED_AT, NOW_NS)
  put(j, LEASE, token .. '.' .. #out)
  put(j, LEASE_UNTIL, till .. '000')
  call('ZADD', index(j), till, j[ID])
  save(j)
  tell(j[ID], 's')
  out[#out + 1] = { payload, j }
end

-- take begins the job of an entry that the group has given us.
local function take(key, entry)
  local j, payload = load(entry[2][2], 'payload')
  if j and j[ENTRY] == entry[1] then
    if j[STATE] == 'available' then return begin(j, payload) end
    -- It runs: the group was lost and made anew, and gives out everything again.
    if j[STATE] == 'executing' then return end
  end
  broken = 1
  call('XACK', key, GROUP, entry[1])
  call('XDEL', key, entry[1])
end

-- retake begins a job that has come back.
local function retake(key, id)
  call('ZREM', key, id)
  local j, payload = load(id, 'payload')
  if j and j[STATE] == 'available' and not j[ENTRY] then return begin(j, payload) end
  broken = 1
end

-- read has the group give us n entries of a stream that is there. There is no group
-- if nobody has claimed yet, or if the server has lost it. It begins at 0, so that it
-- gives out everything.
local function read(key, n)
  local function try()
    return redis.pcall('XREADGROUP', 'GROUP', GROUP, consumer, 'COUNT', n, 'STREAMS', key, '>')
  end
  local reply = try()
  if reply and reply.err then
    if not string.find(reply.err, 'NOGROUP', 1, true) then error(reply) end
    call('XGROUP', 'CREATE', key, GROUP, '0')
    broken = 1
    reply = try()
  end
  if not reply or not reply[1] then return {} end
  return reply[1][2]
end

-- serve takes jobs of one priority, up to max, and reports whether there may be more: of those
-- that are new and those that have come back, the older first.
local function serve(priority)
  local stream, set = P .. 'new:' .. kind .. ':' .. priority, P .. 'again:' .. kind .. ':' .. priority
  local n = max - #out
  local back = call('ZRANGE', set, 0, n - 1)
  if #back == 0 then
    if call('XLEN', stream) == 0 then return false end
    local entries = read(stream, n)
    for _, entry in ipairs(entries) do take(stream, entry) end
    return #entries > 0
  end
  local next = call('XRANGE', stream, '(' .. given(stream), '+', 'COUNT', n)
  local a, b = 0, 0
  while a + b < n and (next[a + 1] or back[b + 1]) do
    if not back[b + 1] or (next[a + 1] and next[a + 1][2][2] < back[b + 1]) then
      a = a + 1
    else
      b = b + 1
    end
  end
  local entries = a > 0 and read(stream, a) or {}
  a, b = 1, 1
  for _ = 1, n do
    local entry, id = entries[a], back[b]
    if entry and (not id or entry[2][2] < id) then
      take(stream, entry)
      a = a + 1
    elseif id then
      retake(set, id)
      b = b + 1
    end
  end
  return true
end

if kind ~= 'request' or call('EXISTS', P .. 'paused') == 0 then
  promote()
  for priority = 0, 3 do
    while #out < max and serve(priority) do end
  end
end
local due, last = -1, '0-0'
if #out == 0 then
  local next = call('ZRANGE', P .. 'scheduled:' .. kind, 0, 0, 'WITHSCORES')
  if next[2] then due = math.max(0, tonumber(next[2]) - NOW) end
  local wake = call('XREVRANGE', P .. 'wake:' .. kind, '+', '-', 'COUNT', 1)
  if wake[1] then last = wake[1][1] end
  call('SET', P .. 'idle:' .. kind, '1')
end
return { broken, score(due), last, out }
